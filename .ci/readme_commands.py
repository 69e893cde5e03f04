"""Print the README's bash block that stands under `<!-- ci: NAME -->`, so that CI runs what the README says."""

import re
import sys
from pathlib import Path

text = (Path(__file__).parent.parent / "README.md").read_text()
blocks = dict(re.findall(r"<!-- ci: (\w+) -->\n```bash\n(.*?)```", text, re.DOTALL))
if len(sys.argv) != 2 or sys.argv[1] not in blocks:
    sys.exit(f"usage: readme_commands.py NAME, one of {', '.join(blocks)}")
print(blocks[sys.argv[1]], end="")
