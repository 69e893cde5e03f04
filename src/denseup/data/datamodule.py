"""Lightning data modules: which data sets make up training, validation and test, and how they are loaded.

Arguments are plain values, so that a config can name them. Constructors read nothing; the files are looked up in
`setup`. Evaluation loads whole images one at a time. Validation data never depend on `seed`.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from torch.utils.data import Dataset

from denseup.data.augment_matting import MattingAugmentation
from denseup.data.augment_segmentation import SegmentationAugmentation
from denseup.data.composition1k import composition1k_test, composition1k_train
from denseup.data.datamodule_base import DenseData, FolderData
from denseup.data.datamodule_folders import MattingFolderData, SegmentationFolderData
from denseup.data.manifest import DEMO_CLASSES
from denseup.data.matting import DemoMatting
from denseup.data.scenes import DemoScenes
from denseup.data.segmentation import ADE20K, CAMVID_CLASSES, CamVid, class_names_for

__all__ = [
    "ADE20KData",
    "CamVidData",
    "Composition1kData",
    "DemoData",
    "DenseData",
    "FolderData",
    "MattingFolderData",
    "SegmentationFolderData",
]

TASKS = ("matting", "segmentation")


class DemoData(DenseData):
    """The embedded demo set for either task; the test split is the validation split.

    `crop_size` (pixels, default 96 for matting and 160 for segmentation) is the side of training crops; `image_size`
    the longest side of a validation composite, or the side of a scene. `train_length` samples make an epoch.
    """

    def __init__(
        self,
        task: str = "matting",
        crop_size: int | None = None,
        batch_size: int = 8,
        num_workers: int = 0,
        train_length: int = 480,
        val_length: int = 28,
        image_size: int = 256,
        seed: int = 0,
        augmentation: Any = None,
    ) -> None:
        super().__init__(batch_size, num_workers, seed)
        if task not in TASKS:
            raise ValueError(f"task={task!r}: expected one of {', '.join(TASKS)}")
        self.task = task
        self.crop_size = crop_size or (96 if task == "matting" else 160)
        self.train_length, self.val_length, self.image_size = train_length, val_length, image_size
        self.augmentation = augmentation
        if task == "segmentation":
            self.num_classes, self.class_names = len(DEMO_CLASSES), DEMO_CLASSES

    def make(self, split: str) -> Dataset:
        """`DemoMatting` or `DemoScenes`; "test" is "val"."""
        train = split == "train"
        chosen: dict[str, Any] = {"split": "train" if train else "val", "crop_size": self.crop_size}
        chosen["length"] = self.train_length if train else self.val_length
        chosen["seed"] = self.seed if train else 0
        chosen["augmentation"] = self.augmentation
        if self.task == "matting":
            return DemoMatting(long_side=self.image_size, **chosen)
        return DemoScenes(size=self.image_size, **chosen)


class CamVidData(FolderData):
    """CamVid in 11 classes; see `segmentation.CamVid`."""

    layout = "ROOT/images/{train,val,test}/NAME.jpg and ROOT/labels/{train,val,test}/NAME.png"
    num_classes, class_names = len(CAMVID_CLASSES), CAMVID_CLASSES

    def __init__(
        self,
        root: str,
        crop_size: int = 320,
        short_side: int = 360,
        batch_size: int = 8,
        num_workers: int = 4,
        seed: int = 0,
        augmentation: SegmentationAugmentation | None = None,
    ) -> None:
        super().__init__(root, ("train", "val", "test"), batch_size, num_workers, seed, "images")
        self.augmentation = augmentation or SegmentationAugmentation(crop_size, short_side, 4 * short_side)

    def make_folder(self, split: str, name: str | None) -> Dataset:
        """A `CamVid`."""
        return CamVid(self.root, name, augmentation=self.augmentation if split == "train" else None, seed=self.seed)


class ADE20KData(FolderData):
    """ADE20K with 150 classes and the published recipe; see `segmentation.ADE20K`. The test split is validation."""

    layout = "ROOT/images/{training,validation}/NAME.jpg and ROOT/annotations/{training,validation}/NAME.png"
    num_classes, class_names = 150, class_names_for(150, None)

    def __init__(
        self,
        root: str,
        crop_size: int = 512,
        batch_size: int = 16,
        num_workers: int = 8,
        seed: int = 0,
        test_size: Sequence[int] | None = (512, 2048),
        augmentation: SegmentationAugmentation | None = None,
    ) -> None:
        super().__init__(root, ("training", "validation", "validation"), batch_size, num_workers, seed, "images")
        self.augmentation = augmentation or SegmentationAugmentation(crop_size)
        self.test_size = None if test_size is None else (test_size[0], test_size[1])

    def make_folder(self, split: str, name: str | None) -> Dataset:
        """An `ADE20K`."""
        augmentation = self.augmentation if split == "train" else None
        return ADE20K(self.root, name, augmentation=augmentation, test_size=self.test_size, seed=self.seed)


class Composition1kData(DenseData):
    """Adobe Composition-1k; see `composition1k` for the layout. Validation and test are the 1000 test composites.

    `root` is Adobe's Combined_Dataset, `backgrounds` the folder of training photographs; `train_length` samples make
    an epoch (published: 6000 iterations of 16).
    """

    task = "matting"

    def __init__(
        self,
        root: str,
        backgrounds: str,
        crop_size: int = 512,
        batch_size: int = 16,
        num_workers: int = 8,
        train_length: int = 96000,
        seed: int = 6,
        augmentation: MattingAugmentation | None = None,
    ) -> None:
        super().__init__(batch_size, num_workers, seed)
        self.root, self.backgrounds, self.train_length = Path(root), Path(backgrounds), train_length
        self.augmentation = augmentation or MattingAugmentation.scaled(crop_size, trimap_scale=1.0)

    def make(self, split: str) -> Dataset:
        """Random composites for "train", the ready ones else."""
        if split != "train":
            return composition1k_test(self.root)
        return composition1k_train(
            self.root,
            self.backgrounds,
            augmentation=self.augmentation,
            length=self.train_length,
            seed=self.seed,
        )
