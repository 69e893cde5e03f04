"""Measure a checkpoint: python -m src.evaluate ckpt=runs/…/checkpoints/best.ckpt [data.root=…] [data=…]."""

import sys

from denseup.cli import stopping
from denseup.cli.evaluate import main

if __name__ == "__main__":
    sys.exit(stopping.run(main))
