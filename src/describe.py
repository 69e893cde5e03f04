"""The model card of weights: python -m src.describe ckpt=RUN."""

import sys

from denseup.cli import stopping
from denseup.cli.describe import main

if __name__ == "__main__":
    sys.exit(stopping.run(main))
