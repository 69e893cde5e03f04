"""Print the bash block of README or CONTRIBUTING under `<!-- ci: NAME -->`, so that CI runs what they say."""

import re
import sys
from pathlib import Path

root = Path(__file__).parent.parent
text = "".join((root / name).read_text() for name in ("README.md", "CONTRIBUTING.md"))
blocks = dict(re.findall(r"<!-- ci: (\w+) -->\n```bash\n(.*?)```", text, re.DOTALL))
if len(sys.argv) != 2 or sys.argv[1] not in blocks:
    sys.exit(f"usage: readme_commands.py NAME, one of {', '.join(blocks)}")
print(blocks[sys.argv[1]], end="")
