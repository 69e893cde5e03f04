"""Try networks on pictures in the browser: python -m src.demo ckpt=runs/fade,runs/bilinear."""

import sys

from denseup.cli import stopping
from denseup.cli.demo import main

if __name__ == "__main__":
    sys.exit(stopping.run(main))
