"""Tables, plots and a page from runs: python -m src.report runs/sweeps/demo [--complexity FILE]."""

import sys

from denseup.cli import stopping
from denseup.cli.report import main

if __name__ == "__main__":
    sys.exit(stopping.run(main))
