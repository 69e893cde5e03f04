"""Segmentation data sets in folders: one's own, CamVid, ADE20K."""

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import cv2
import numpy as np
from torch.utils.data import Dataset

from denseup.data.augment_segmentation import SegmentationAugmentation, augment_labelled, fitted_size
from denseup.data.check import FileGroup
from denseup.data.files import find_partners, list_images, require_folder, split_folder
from denseup.data.io import IGNORE_INDEX, Array, check_same_size, read_image, read_label
from denseup.data.sampling import Sample, TrainIndex, train_rng
from denseup.data.tensors import image_tensor, label_tensor

CAMVID_CLASSES = (
    "sky", "building", "pole", "road", "pavement", "tree", "sign_symbol", "fence", "car", "pedestrian", "bicyclist",
)  # fmt: skip
CAMVID_VOID = 11


class SegmentationFolder(Dataset):
    """A folder of images with label maps of the same stem.

    Layout: `root/images/[SPLIT/]NAME.*` and `root/labels/[SPLIT/]NAME.png`; `images` and `labels` rename the folders,
    `split=None` leaves the split level out. Label files hold class indices in one channel or as a palette; 255 and
    `ignore_labels` are ignored, and with `reduce_zero_label` 0 is ignored and class 0 is stored as 1.

    Without `augmentation` it gives whole images for evaluation, indexed by an int; with it training crops, indexed by
    (epoch, index). `test_size` (short side, long side at most) resizes evaluation images, each side rounded up to a
    multiple of 32, while the label keeps its own size, to which predictions are then to be brought.

    Raises `DataError` for a missing or empty folder, a missing partner, an unreadable file, sizes that differ, and a
    label out of range.
    """

    def __init__(
        self,
        root: str | Path,
        num_classes: int,
        *,
        split: str | None = None,
        class_names: Sequence[str] | None = None,
        images: str = "images",
        labels: str = "labels",
        reduce_zero_label: bool = False,
        ignore_labels: Sequence[int] = (),
        augmentation: SegmentationAugmentation | None = None,
        test_size: tuple[int, int] | None = None,
        seed: int = 0,
    ) -> None:
        self.num_classes, self.class_names = num_classes, class_names_for(num_classes, class_names)
        layout = f"ROOT/{images}/[SPLIT/]NAME.jpg and ROOT/{labels}/[SPLIT/]NAME.png"
        root = require_folder(Path(root), "root", layout)
        self.images = list_images(split_folder(root / images, split), "image")
        self.labels = find_partners(self.images, split_folder(root / labels, split), "label")
        self.augmentation, self.test_size, self.seed = augmentation, test_size, seed
        self._read_label = partial(
            read_label,
            num_classes=num_classes,
            reduce_zero_label=reduce_zero_label,
            ignore_labels=tuple(ignore_labels),
        )

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, item: TrainIndex | int) -> Sample:
        """The sample of (epoch, index) in training, of an int in evaluation."""
        if self.augmentation is None:
            index: int = item  # type: ignore[assignment]
            image, label = self._read(index)
            image = image if self.test_size is None else resize_for_test(image, *self.test_size)
        else:
            rng = train_rng(self.seed, item)  # type: ignore[arg-type]
            index = item[1]  # type: ignore[index]
            image, label = augment_labelled(*self._read(index), rng, self.augmentation)
        return {"image": image_tensor(image), "label": label_tensor(label), "name": self.images[index].stem}

    def file_groups(self) -> Iterator[FileGroup]:
        """See `check.Checkable`."""
        for image, label in zip(self.images, self.labels, strict=True):
            yield {image: read_image, label: self._read_label}

    def _read(self, index: int) -> tuple[Array, Array]:
        image, label = read_image(self.images[index]), self._read_label(self.labels[index])
        check_same_size({self.images[index]: image, self.labels[index]: label})
        return image, label


class CamVid(SegmentationFolder):
    """CamVid (Brostow et al., 2009) in the 11 classes of SegNet; label 11 (void) is ignored.

    Layout: `root/images/SPLIT/NAME.jpg`, `root/labels/SPLIT/NAME.png`, splits train, val and test.
    """

    def __init__(
        self,
        root: str | Path,
        split: str | None = "train",
        *,
        augmentation: SegmentationAugmentation | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__(
            root,
            len(CAMVID_CLASSES),
            split=split,
            class_names=CAMVID_CLASSES,
            ignore_labels=(CAMVID_VOID,),
            augmentation=augmentation,
            seed=seed,
        )


class ADE20K(SegmentationFolder):
    """ADE20K's scene parsing benchmark (Zhou et al., 2017): 150 classes, file value 0 ignored.

    Layout (ADEChallengeData2016): `root/images/SPLIT/NAME.jpg`, `root/annotations/SPLIT/NAME.png`, splits training
    and validation. Evaluation images are resized as published, the short side to 512 and both to multiples of 32.
    """

    def __init__(
        self,
        root: str | Path,
        split: str | None = "training",
        *,
        augmentation: SegmentationAugmentation | None = None,
        test_size: tuple[int, int] | None = (512, 2048),
        seed: int = 0,
    ) -> None:
        super().__init__(
            root,
            150,
            split=split,
            labels="annotations",
            reduce_zero_label=True,
            augmentation=augmentation,
            test_size=test_size,
            seed=seed,
        )


def resize_for_test(image: Array, short_side: int, long_side: int, divisor: int = 32) -> Array:
    """The image [H, W, 3] fitted into the limits, each side then rounded up to a multiple of `divisor`."""
    fitted = fitted_size(image.shape[:2], short_side, long_side)
    height, width = (-(-side // divisor) * divisor for side in fitted)
    return cv2.resize(image, (width, height), interpolation=cv2.INTER_LINEAR)


def class_names_for(num_classes: int, class_names: Sequence[str] | None) -> tuple[str, ...]:
    """The names given, or "class_0" and so on; raises `ValueError` for numbers that do not fit."""
    if not 1 <= num_classes <= IGNORE_INDEX:
        raise ValueError(f"num_classes={num_classes}: expected 1..{IGNORE_INDEX} ({IGNORE_INDEX} itself is ignored)")
    names = tuple(class_names) if class_names else tuple(f"class_{i}" for i in np.arange(num_classes))
    if len(names) != num_classes:
        raise ValueError(f"class_names: got {len(names)} names, expected num_classes={num_classes}")
    return names
