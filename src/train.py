"""Train one upsampler on one task: python -m src.train task=matting upsampler=fade."""

import sys

from denseup.cli import stopping
from denseup.cli.train import main

if __name__ == "__main__":
    sys.exit(stopping.run(main))
