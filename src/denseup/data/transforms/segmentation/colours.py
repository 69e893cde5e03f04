"""The photometric distortion of a uint8 image."""

from dataclasses import dataclass
from typing import ClassVar

import cv2
import numpy as np

from denseup.data.reading.samples import Array
from denseup.data.transforms.pipeline import Arrays, Step
from denseup.data.transforms.streams import Generator

Range = tuple[float, float]


@dataclass(frozen=True)
class DistortColours(Step):
    """Brightness, contrast, saturation and hue of "image" uint8 [H, W, 3], each moved with probability one half.

    - brightness: grey levels at most; contrast, saturation: factors, from and to; hue: degrees at most

    Contrast comes before or after saturation and hue, at random. These two share one conversion to HSV, in bytes.
    """

    name: ClassVar[str] = "photometric"
    brightness: float = 32.0
    contrast: Range = (0.5, 1.5)
    saturation: Range = (0.5, 1.5)
    hue: float = 36.0

    def __call__(self, sample: Arrays, rng: Generator) -> Arrays:
        """See the class."""
        late_contrast, *chosen = rng.random(5) < 0.5
        drawn = (
            rng.uniform(-self.brightness, self.brightness),
            rng.uniform(*self.contrast),
            rng.uniform(*self.saturation),
            rng.uniform(-self.hue, self.hue),
        )
        neutral = (0.0, 1.0, 1.0, 0.0)
        offset, contrast, saturation, turn = (d if c else n for d, c, n in zip(drawn, chosen, neutral, strict=True))
        image = np.ascontiguousarray(sample["image"])
        first, last = (1.0, contrast) if late_contrast else (contrast, 1.0)
        image = _distort_hsv(_distort_levels(image, offset, first), saturation, turn)
        return {**sample, "image": _distort_levels(image, 0.0, last)}


def _distort_levels(image: Array, offset: float, factor: float) -> Array:
    """Shifted and then multiplied, cut off to a byte after each."""
    if offset == 0.0 and factor == 1.0:
        return image
    shifted = _bytes(np.arange(256) + offset)
    return cv2.LUT(image, _bytes(shifted * factor))


def _distort_hsv(image: Array, factor: float, turn: float) -> Array:
    if factor == 1.0 and turn == 0.0:
        return image
    levels = np.arange(256)
    table = np.empty((1, 256, 3), np.uint8)
    table[0, :, 0] = (levels + round(turn * 256 / 360)) % 256
    table[0, :, 1] = _bytes(levels * factor)
    table[0, :, 2] = levels
    hsv = cv2.cvtColor(image, cv2.COLOR_RGB2HSV_FULL)
    return cv2.cvtColor(cv2.LUT(hsv, table), cv2.COLOR_HSV2RGB_FULL)


def _bytes(values: Array) -> Array:
    return np.clip(values, 0, 255).astype(np.uint8)
