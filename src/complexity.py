"""What every upsampler costs in both networks: python -m src.complexity task=matting,segmentation."""

import sys

from denseup.cli import stopping
from denseup.cli.complexity import main

if __name__ == "__main__":
    sys.exit(stopping.run(main))
