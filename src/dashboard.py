"""The comparison as a W&B workspace and report: python -m src.dashboard [PATH …] [--group SWEEP]."""

import sys

from denseup.cli import stopping
from denseup.cli.dashboard import main

if __name__ == "__main__":
    sys.exit(stopping.run(main))
