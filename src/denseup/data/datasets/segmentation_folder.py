"""Folders of images with label maps."""

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

import cv2
import numpy as np
from torch.utils.data import Dataset

from denseup.data.checking.files import FileGroup
from denseup.data.checking.labels import LabelSurvey
from denseup.data.datasets.sampling import Sample, TrainIndex, train_streams
from denseup.data.datasets.tensors import image_tensor, label_tensor
from denseup.data.reading.folders import Partners, list_files, match_files, only_named, require_folder, split_folder
from denseup.data.reading.label_coding import LabelCoding
from denseup.data.reading.samples import IGNORE_INDEX, Array, check_same_size, read_coded_label, read_image
from denseup.data.transforms.pipeline import Arrays, Pipeline
from denseup.data.transforms.segmentation import SegmentationAugmentation, fitted_size, labelled_steps
from denseup.data.transforms.streams import Streams


class SegmentationFolder(Dataset):
    """A folder of images with label maps of the same stem.

    Layout: `root/images/[SPLIT/]NAME.*` and `root/labels/[SPLIT/]NAME.png`; `images` and `labels` rename the folders,
    `split=None` leaves the split level out. NAME may begin with sub-folders, the same for both; `image_suffix` and
    `label_suffix` are what the files' names have after it. Label files hold class indices in one channel or as a
    palette; 255 is ignored. `label_values`, `class_values`, `ignore_labels`, `reduce_zero_label` and `label_colours`
    say it where they hold something else, see `LabelCoding`; `apply_orientation` is explained at
    `denseup.data.reading.samples`. `names` are those of the images that count, by their NAME, with the file that lists
    them; None: all count.

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
        image_suffix: str = "",
        label_suffix: str = "",
        reduce_zero_label: bool = False,
        ignore_labels: Sequence[int] = (),
        label_values: Mapping[int, int] | None = None,
        label_colours: Sequence[Sequence[int]] = (),
        class_values: Sequence[int] = (),
        names: tuple[Path, Sequence[str]] | None = None,
        apply_orientation: bool = True,
        augmentation: SegmentationAugmentation | None = None,
        test_size: tuple[int, int] | None = None,
        seed: int = 0,
    ) -> None:
        self.num_classes, self.class_names = num_classes, class_names_for(num_classes, class_names)
        self.coding = LabelCoding(
            num_classes, reduce_zero_label, tuple(ignore_labels), label_values or {}, label_colours, tuple(class_values)
        )
        layout = f"ROOT/{images}/[SPLIT/]NAME.jpg and ROOT/{labels}/[SPLIT/]NAME.png"
        root = require_folder(Path(root), "root", layout)
        listing = list_files(split_folder(root / images, split), "image", image_suffix)
        listing = listing if names is None else only_named(listing, names[1], names[0])
        listing, (self.labels,) = match_files(
            listing, Partners(split_folder(root / labels, split), "label", label_suffix)
        )
        self.names, self.images = list(listing.files), list(listing.files.values())
        self.test_size, self.seed = test_size, seed
        self.pipeline: Pipeline | None = None if augmentation is None else labelled_steps(augmentation)
        self.apply_orientation = apply_orientation
        self._read_image = partial(read_image, apply_orientation=apply_orientation)
        self._read_label = partial(read_coded_label, coding=self.coding, apply_orientation=apply_orientation)

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, item: TrainIndex | int) -> Sample:
        """The sample of (epoch, index) in training, of an int in evaluation."""
        if self.pipeline is None:
            index: int = item  # type: ignore[assignment]
            image, label = self._read(index)
            image = image if self.test_size is None else resize_for_test(image, *self.test_size)
        else:
            arrays = self.pipeline(*self._source(item))  # type: ignore[arg-type]
            index, image, label = item[1], arrays["image"], arrays["label"]  # type: ignore[index]
        return {"image": image_tensor(image), "label": label_tensor(label), "name": self.names[index]}

    def stages(self, item: TrainIndex) -> Iterator[tuple[str, Arrays]]:
        """(name of the step, its arrays) for each step that makes a training crop; see `Pipeline.stages`."""
        assert self.pipeline is not None, "whole images go through no steps"
        return self.pipeline.stages(*self._source(item))

    def _source(self, item: TrainIndex) -> tuple[Arrays, Streams]:
        streams = train_streams(self.seed, item)
        image, label = self._read(item[1])
        return {"image": image, "label": label}, streams

    def file_groups(self) -> Iterator[FileGroup]:
        """See `check.Checkable`."""
        for image, label in zip(self.images, self.labels, strict=True):
            yield {image: self._read_image, label: self._read_label}

    def survey(self) -> LabelSurvey:
        """See `check.Surveyable`."""
        return LabelSurvey(self.coding, self.class_names)

    def _read(self, index: int) -> tuple[Array, Array]:
        image, label = self._read_image(self.images[index]), self._read_label(self.labels[index])
        check_same_size({self.images[index]: image, self.labels[index]: label})
        return image, label


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
