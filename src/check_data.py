"""Read every file of a data set before training: python -m src.check_data data=… data.root=…."""

import sys

from denseup.cli import stopping
from denseup.cli.check_data import main

if __name__ == "__main__":
    sys.exit(stopping.run(main))
