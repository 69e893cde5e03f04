"""Data sets for matting and segmentation: plain dicts of CPU tensors, no model, no Lightning.

Training data sets are indexed by (epoch, index), evaluation ones by an int. Samples hold

- matting: "image" float32 [3, H, W] in [0, 1] (RGB), "trimap" uint8 [1, H, W] in {0, 128, 255}, "alpha" (training:
  float32 [1, H, W] in [0, 1]; evaluation: uint8 [1, H, W] as in the file), "name"; where they are known, training adds
  "foreground" and "background" float32 [3, H, W];
- segmentation: "image" as above, "label" int64 [H, W] (255 is ignored), "name".

The Lightning data modules are in `denseup.data.datamodules`, which is not imported here.
"""

from denseup.data.checking.files import check_dataset, check_datasets
from denseup.data.datasets.composites import CompositeDataset, FixedComposites
from denseup.data.datasets.composition1k import composition1k_test, composition1k_train
from denseup.data.datasets.matting_folder import MattingFolder
from denseup.data.datasets.sampling import EpochSampler, Sample, TrainIndex
from denseup.data.datasets.segmentation_folder import SegmentationFolder
from denseup.data.demo.manifest import DEMO_CLASSES, DEMO_ROOT, demo_files, read_manifest
from denseup.data.demo.matting import DemoMatting
from denseup.data.demo.scenes import DemoScenes
from denseup.data.reading.samples import DataError, read_alpha, read_cutout, read_image, read_label, read_trimap
from denseup.data.transforms.matting import MattingAugmentation
from denseup.data.transforms.segmentation import SegmentationAugmentation

__all__ = [
    "DEMO_CLASSES",
    "DEMO_ROOT",
    "CompositeDataset",
    "DataError",
    "DemoMatting",
    "DemoScenes",
    "EpochSampler",
    "FixedComposites",
    "MattingAugmentation",
    "MattingFolder",
    "Sample",
    "SegmentationAugmentation",
    "SegmentationFolder",
    "TrainIndex",
    "check_dataset",
    "check_datasets",
    "composition1k_test",
    "composition1k_train",
    "demo_files",
    "read_alpha",
    "read_cutout",
    "read_image",
    "read_label",
    "read_manifest",
    "read_trimap",
]
