"""Make the labels of VOC 2012 with SBD's training images: python -m src.build_voc2012_aug root=… sbd=…."""

import sys

from denseup.cli import stopping
from denseup.cli.build_voc2012_aug import main

if __name__ == "__main__":
    sys.exit(stopping.run(main))
