"""Steps that make the trimap, and cut the sample around one of its unknown pixels."""

from dataclasses import dataclass
from typing import ClassVar

import cv2
import numpy as np

from denseup.data.reading.samples import Array
from denseup.data.transforms.compositing import draw_trimap, open_trimap, straight
from denseup.data.transforms.geometry import Window, cut, levels, unit
from denseup.data.transforms.pipeline import Arrays, Step
from denseup.data.transforms.streams import Generator


@dataclass(frozen=True)
class DrawTrimap(Step):
    """Adds "trimap", uint8 [H, W], of the layer's alpha or of "alpha"; see `compositing.draw_trimap`."""

    name: ClassVar[str] = "trimap"
    widths: tuple[int, int] = (1, 29)
    scale: float = 1.0

    def __call__(self, sample: Arrays, rng: Generator) -> Arrays:
        """See the class."""
        alpha = levels(cv2.extractChannel(sample["layer"], 3)) if "layer" in sample else sample["alpha"]
        return {**sample, "trimap": draw_trimap(alpha, rng, self.widths, self.scale)}


@dataclass(frozen=True)
class CropForeground(Step):
    """From "layer" and "trimap" to "foreground", "alpha" and "trimap" of `size` pixels: see `unknown_window`."""

    name: ClassVar[str] = "crop"
    sizes: tuple[int, ...] = (512, 640, 800)
    size: int = 512

    def __call__(self, sample: Arrays, rng: Generator) -> Arrays:
        """See the class."""
        window = unknown_window(sample["trimap"], self.sizes, rng)
        foreground, alpha = straight(cut(sample["layer"], window, self.size))
        trimap = _cut_trimap(sample["trimap"], window, self.size, levels(alpha))
        return {"foreground": foreground, "alpha": alpha, "trimap": trimap}


@dataclass(frozen=True)
class CropPhotograph(Step):
    """As `CropForeground`, from "image" and "alpha", uint8, which come out as float32 in [0, 1]."""

    name: ClassVar[str] = "crop"
    sizes: tuple[int, ...] = (512, 640, 800)
    size: int = 512

    def __call__(self, sample: Arrays, rng: Generator) -> Arrays:
        """See the class."""
        window = unknown_window(sample["trimap"], self.sizes, rng)
        alpha = cut(sample["alpha"], window, self.size)
        trimap = _cut_trimap(sample["trimap"], window, self.size, alpha)
        return {"image": unit(cut(sample["image"], window, self.size)), "alpha": unit(alpha), "trimap": trimap}


def unknown_window(trimap: Array, sizes: tuple[int, ...], rng: Generator) -> Window:
    """(top, left, side) of a square as nearly centred on a random unknown pixel as the image border lets it be.

    The side is one of `sizes`, or the image's shorter side where that is smaller. Without an unknown pixel any
    pixel may be the centre.
    """
    height, width = trimap.shape
    side = min(int(rng.choice(sizes)), height, width)
    unknown = np.flatnonzero(trimap == 128)
    pick = int(unknown[rng.integers(unknown.size)]) if unknown.size else int(rng.integers(trimap.size))
    row, column = divmod(pick, width)
    return min(max(row - side // 2, 0), height - side), min(max(column - side // 2, 0), width - side), side


def _cut_trimap(trimap: Array, window: Window, size: int, alpha: Array) -> Array:
    return open_trimap(cut(trimap, window, size, cv2.INTER_NEAREST), alpha)
