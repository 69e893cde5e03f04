"""Exact metrics of prediction files: python -m src.score predictions=FOLDER truth=FOLDER task=matting."""

import sys

from denseup.cli import stopping
from denseup.cli.score import main

if __name__ == "__main__":
    sys.exit(stopping.run(main))
