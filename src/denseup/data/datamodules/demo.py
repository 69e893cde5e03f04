"""The Lightning data module of the embedded demo set."""

from typing import Any

from torch.utils.data import Dataset

from denseup.data.datamodules.base import DenseData
from denseup.data.demo.matting import DemoMatting
from denseup.data.demo.scenes import DemoScenes

DATASETS: dict[str, type[DemoMatting] | type[DemoScenes]] = {kind.task: kind for kind in (DemoMatting, DemoScenes)}


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
        if task not in DATASETS:
            raise ValueError(f"task={task!r}: expected one of {', '.join(DATASETS)}")
        self.kind = DATASETS[task]
        self.task, self.class_names = task, self.kind.class_names
        self.num_classes = len(self.class_names)
        self.crop_size = crop_size or self.kind.default_crop_size
        self.train_length, self.val_length, self.image_size = train_length, val_length, image_size
        self.augmentation = augmentation

    def make(self, split: str) -> Dataset:
        """`DemoMatting` or `DemoScenes`; "test" is "val"."""
        train = split == "train"
        return self.kind(
            "train" if train else "val",
            length=self.train_length if train else self.val_length,
            crop_size=self.crop_size,
            image_size=self.image_size,
            augmentation=self.augmentation,
            seed=self.seed if train else 0,
        )
