"""Predict pictures: python -m src.predict ckpt=runs/… input=photo.jpg [trimap=…]."""

import sys

from denseup.cli import stopping
from denseup.cli.predict import main

if __name__ == "__main__":
    sys.exit(stopping.run(main))
