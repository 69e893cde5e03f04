"""Lightning data modules: which data sets make up training, validation and test, and how they are loaded.

Arguments are plain values, so that a config can name them. Constructors read nothing; the files are looked up in
`setup`. Evaluation loads whole images one at a time. Validation data never depend on `seed`. A data set that only fixes
options of another one (CamVid, ADE20K) is a yaml in conf/data.
"""

from denseup.data.datamodules.base import DenseData, FolderData
from denseup.data.datamodules.composition1k import Composition1kData
from denseup.data.datamodules.corrupted import CorruptedData
from denseup.data.datamodules.demo import DemoData
from denseup.data.datamodules.folders import MattingFolderData, SegmentationFolderData
from denseup.data.datamodules.foregrounds import ForegroundData
from denseup.data.datamodules.frozen import FrozenData
from denseup.data.datamodules.held_out import HeldOutData

__all__ = [
    "Composition1kData",
    "CorruptedData",
    "DemoData",
    "DenseData",
    "FolderData",
    "ForegroundData",
    "FrozenData",
    "HeldOutData",
    "MattingFolderData",
    "SegmentationFolderData",
]
