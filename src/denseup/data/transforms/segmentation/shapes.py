"""Steps that choose what of an image is seen; they work on "image" uint8 [H, W, 3] and "label" uint8 [H, W]."""

from dataclasses import dataclass
from typing import ClassVar

import cv2
import numpy as np

from denseup.data.reading.samples import IGNORE_INDEX
from denseup.data.transforms.pipeline import Arrays, Step
from denseup.data.transforms.streams import Generator

# Padding comes after normalisation in the recipe and is zero there: ImageNet's mean colour before it, but for rounding.
PADDING_COLOUR = (124, 116, 104)
CROP_TRIES = 10


@dataclass(frozen=True)
class ResizeWithin(Step):
    """Resized, the aspect kept, to the largest size that fits `short_side` and `long_side`, times one of `ratio`."""

    name: ClassVar[str] = "resize"
    short_side: int = 512
    long_side: int = 2048
    ratio: tuple[float, float] = (0.5, 2.0)

    def __call__(self, sample: Arrays, rng: Generator) -> Arrays:
        """See the class."""
        image, label = sample["image"], sample["label"]
        height, width = fitted_size(image.shape[:2], self.short_side, self.long_side, rng.uniform(*self.ratio))
        return {
            **sample,
            "image": cv2.resize(image, (width, height), interpolation=cv2.INTER_LINEAR),
            "label": cv2.resize(label, (width, height), interpolation=cv2.INTER_NEAREST),
        }


@dataclass(frozen=True)
class CropBalanced(Step):
    """A random window of at most size x size, drawn again while one class covers more than its share."""

    name: ClassVar[str] = "crop"
    size: int = 512
    max_class_share: float = 0.75

    def __call__(self, sample: Arrays, rng: Generator) -> Arrays:
        """See the class."""
        height, width = sample["label"].shape
        for _ in range(CROP_TRIES):
            top = rng.integers(max(height - self.size, 0) + 1)
            left = rng.integers(max(width - self.size, 0) + 1)
            crop = {name: array[top : top + self.size, left : left + self.size] for name, array in sample.items()}
            counts = np.bincount(crop["label"].ravel(), minlength=256)
            counts[IGNORE_INDEX] = 0
            if np.count_nonzero(counts) > 1 and counts.max() < self.max_class_share * counts.sum():
                break
        return crop


@dataclass(frozen=True)
class Pad(Step):
    """Padded on the right and at the bottom to size x size; the padding's label is ignored (255)."""

    name: ClassVar[str] = "pad"
    size: int = 512

    def __call__(self, sample: Arrays, rng: Generator) -> Arrays:
        """See the class."""
        bottom, right = (self.size - side for side in sample["label"].shape)
        if bottom <= 0 and right <= 0:
            return sample
        border = (0, bottom, 0, right, cv2.BORDER_CONSTANT)
        return {
            **sample,
            "image": cv2.copyMakeBorder(sample["image"], *border, value=PADDING_COLOUR),
            "label": cv2.copyMakeBorder(sample["label"], *border, value=(IGNORE_INDEX,)),
        }


def fitted_size(size: tuple[int, ...], short_side: int, long_side: int, ratio: float = 1.0) -> tuple[int, int]:
    """(height, width) of an image scaled to the limits `short_side` and `long_side`, both times `ratio`."""
    scale = ratio * min(short_side / min(size), long_side / max(size))
    return max(round(size[0] * scale), 1), max(round(size[1] * scale), 1)
