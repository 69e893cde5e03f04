"""Windows and mirror images, which both recipes need."""

from dataclasses import dataclass
from typing import ClassVar

import cv2
import numpy as np

from denseup.data.reading.samples import Array
from denseup.data.transforms.pipeline import Arrays, Step
from denseup.data.transforms.streams import Generator

Window = tuple[int, int, int]
"""top, left and side of a square, in pixels."""


@dataclass(frozen=True)
class Flip(Step):
    """All of a sample's arrays turned left to right, with a probability."""

    name: ClassVar[str] = "flip"
    probability: float = 0.5

    def __call__(self, sample: Arrays, rng: Generator) -> Arrays:
        """See the class."""
        if rng.random() >= self.probability:
            return sample
        return {name: mirrored(array) for name, array in sample.items()}


def mirrored(array: Array) -> Array:
    """[H, W] or [H, W, C] turned left to right, contiguous."""
    return np.ascontiguousarray(cv2.flip(array, 1))


def cut(array: Array, window: Window, size: int, interpolation: int = cv2.INTER_LINEAR) -> Array:
    """A window of [H, W] or [H, W, C], resized to `size` x `size` if it has another side."""
    top, left, side = window
    piece = array[top : top + side, left : left + side]
    if side == size:
        return np.ascontiguousarray(piece)
    return cv2.resize(piece, (size, size), interpolation=interpolation)


def random_background(background: Array, size: int, rng: Generator) -> Array:
    """A random square of a uint8 [H, W, 3] photograph, mirrored half of the time, as float32 [size, size, 3]."""
    height, width = background.shape[:2]
    short = min(height, width)
    side = int(rng.integers(min(size, short), short + 1))
    window = (int(rng.integers(height - side + 1)), int(rng.integers(width - side + 1)), side)
    piece = cut(background, window, size)
    return unit(mirrored(piece) if rng.random() < 0.5 else piece)


def unit(array: Array) -> Array:
    """uint8 → float32 in [0, 1]."""
    return np.multiply(array, np.float32(1 / 255), dtype=np.float32)


def levels(array: Array) -> Array:
    """float32 in [0, 1], clipped → the nearest uint8."""
    return np.rint(np.clip(array, 0, 1) * 255).astype(np.uint8)
