"""Steps on the colours of a crop: "foreground" float32 [S, S, 3] and "alpha" float32 [S, S], both in [0, 1]."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import cv2
import numpy as np

from denseup.data.reading.samples import Array
from denseup.data.transforms.compositing import composite
from denseup.data.transforms.geometry import random_background
from denseup.data.transforms.pipeline import Arrays, Step
from denseup.data.transforms.streams import Generator


@dataclass(frozen=True)
class JitterColours(Step):
    """Random move of the foreground's hue, saturation and value.

    - hue: degrees at most
    - shift: largest move of saturation and value, for a foreground whose mean is 0.1; the higher the mean of what is
      seen (alpha above 0) already is, the less
    """

    name: ClassVar[str] = "jitter"
    hue: float = 40.0
    shift: float = 0.1

    def __call__(self, sample: Arrays, rng: Generator) -> Arrays:
        """See the class."""
        turn, *moves = rng.uniform(-1, 1, 3)
        foreground = moved_colours(sample["foreground"], sample["alpha"], self.hue * turn, self.shift * np.array(moves))
        return {**sample, "foreground": foreground}


@dataclass(frozen=True)
class Composite(Step):
    """Adds "background", a random square of a photograph that is drawn by `background`, and "image" on it."""

    name: ClassVar[str] = "composite"
    size: int
    background: Callable[[Generator], Array]

    def __call__(self, sample: Arrays, rng: Generator) -> Arrays:
        """See the class."""
        behind = random_background(self.background(rng), self.size, rng)
        image = composite(sample["foreground"], sample["alpha"], behind)
        return {**sample, "background": behind, "image": image}


def moved_colours(foreground: Array, alpha: Array, turn: float, moves: Array) -> Array:
    """Hue turned by degrees; saturation and value moved by `moves` times 1.1 less their mean where alpha is above 0."""
    planes: list[Array] = list(cv2.split(cv2.cvtColor(foreground, cv2.COLOR_RGB2HSV)))
    hue, *others = planes
    hue += np.float32(turn % 360)  # OpenCV takes hues above 360 as well
    visible = (alpha > 0).astype(np.uint8)
    seen = visible.any()
    for plane, move in zip(others, moves, strict=True):
        mean = cv2.mean(plane, visible)[0] if seen else 1.0
        plane += np.float32(move * (1.1 - mean))
        np.clip(plane, 0, 1, out=plane)
    colours = cv2.cvtColor(cv2.merge([hue, *others]), cv2.COLOR_HSV2RGB)
    return np.clip(colours, 0, 1, out=colours)
