"""The kept features of frozen encoders: python -m src.cache [clear=all]."""

import sys

from denseup.cli import stopping
from denseup.cli.cache import main

if __name__ == "__main__":
    sys.exit(stopping.run(main))
