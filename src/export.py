"""A trained network in a file of another runtime: python -m src.export ckpt=RUN format=onnx [output=FILE]."""

import sys

from denseup.cli import stopping
from denseup.cli.export import main

if __name__ == "__main__":
    sys.exit(stopping.run(main))
