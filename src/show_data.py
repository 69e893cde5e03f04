"""Training samples as a network sees them, as pictures: python -m src.show_data task=… data=…."""

import sys

from denseup.cli import stopping
from denseup.cli.show_data import main

if __name__ == "__main__":
    sys.exit(stopping.run(main))
