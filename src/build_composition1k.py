"""Make the composites of Composition-1k: python -m src.build_composition1k root=… backgrounds=…."""

import sys

from denseup.cli import stopping
from denseup.cli.build_composition1k import main

if __name__ == "__main__":
    sys.exit(stopping.run(main))
