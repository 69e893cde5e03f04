"""Steps that give a foreground its shape; they work on "layer", float32 [H, W, 4] premultiplied."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import cv2
import numpy as np

from denseup.data.reading.samples import Array
from denseup.data.transforms.compositing import over
from denseup.data.transforms.pipeline import Arrays, Step
from denseup.data.transforms.streams import Generator


@dataclass(frozen=True)
class Combine(Step):
    """The foreground before another one, resized to its size, with a probability; `another` draws that one."""

    name: ClassVar[str] = "combine"
    probability: float
    another: Callable[[Generator], Array]

    def __call__(self, sample: Arrays, rng: Generator) -> Arrays:
        """See the class."""
        if rng.random() >= self.probability:
            return sample
        front = sample["layer"]
        back = cv2.resize(self.another(rng), front.shape[1::-1], interpolation=cv2.INTER_LINEAR)
        return {**sample, "layer": over(front, back)}


@dataclass(frozen=True)
class ResizeForeground(Step):
    """The foreground resized to a square of `side` pixels, with a probability."""

    name: ClassVar[str] = "resize"
    probability: float
    side: int

    def __call__(self, sample: Arrays, rng: Generator) -> Arrays:
        """See the class."""
        if rng.random() >= self.probability:
            return sample
        size = (self.side, self.side)
        return {**sample, "layer": cv2.resize(sample["layer"], size, interpolation=cv2.INTER_LINEAR)}


@dataclass(frozen=True)
class Affine(Step):
    """A random rotation, scaling, shear and mirroring about the centre; at least `least` pixels high and wide.

    - rotation, shear: degrees at most, either way
    - scale: factor of each axis, from and to
    - flip: probability of mirroring each axis
    """

    name: ClassVar[str] = "affine"
    rotation: float = 30.0
    scale: tuple[float, float] = (0.8, 1.25)
    shear: float = 10.0
    flip: float = 0.5
    least: int = 512

    def __call__(self, sample: Arrays, rng: Generator) -> Arrays:
        """See the class."""
        layer = sample["layer"]
        before, after = layer.shape[1::-1], tuple(max(side, self.least) for side in layer.shape[1::-1])
        matrix = self._matrix(rng)
        offset = (np.array(after) - 1) / 2 - matrix @ ((np.array(before) - 1) / 2)
        warp = np.column_stack([matrix, offset])
        return {**sample, "layer": cv2.warpAffine(layer, warp, after, flags=cv2.INTER_LINEAR)}

    def _matrix(self, rng: Generator) -> Array:
        """[2, 2]: rotation times shear times the axes' factors."""
        angle = np.deg2rad(rng.uniform(-self.rotation, self.rotation))
        slope = np.tan(np.deg2rad(rng.uniform(-self.shear, self.shear)))
        factors = rng.uniform(*self.scale, 2) * np.where(rng.random(2) < self.flip, -1, 1)
        rotation = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        return rotation @ np.array([[1, slope], [0, 1]]) @ np.diag(factors)
