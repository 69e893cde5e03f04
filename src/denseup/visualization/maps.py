"""The kinds of map that a task predicts: how one is coloured, and where several of them differ."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from denseup.visualization.palette import palette

UInt8 = NDArray[np.uint8]
Float64 = NDArray[np.float64]

IGNORED_COLOUR = (128, 128, 128)


class Maps(Protocol):
    """A kind of map [H, W]."""

    @property
    def differing(self) -> str:
        """What predictions do where they differ most, to go on from "the square where the predictions"."""

    def colours(self, value: UInt8) -> UInt8:
        """The map as a picture, RGB [H, W, 3]."""

    def disagreement(self, predictions: UInt8, truth: UInt8) -> Float64:
        """How much the predictions [N, H, W] of one image differ at each pixel, [H, W]."""


@dataclass(frozen=True)
class ValueMaps:
    """One value a pixel, 0..255: shown in grey, compared by its variance.

    Args:
        quantity: what the value is, in words.
    """

    quantity: str

    @property
    def differing(self) -> str:
        """See `Maps`."""
        return f"have the largest variance of {self.quantity}"

    def colours(self, value: UInt8) -> UInt8:
        """The values as grey."""
        return np.repeat(value[..., None], 3, axis=-1)

    def disagreement(self, predictions: UInt8, truth: UInt8) -> Float64:
        """Variance over the predictions."""
        return predictions.astype(np.float64).var(axis=0)


@dataclass(frozen=True)
class ClassMaps:
    """One class a pixel: shown in the palette's colours, compared by how many do not say what most say.

    Args:
        ignore_index: the label of true pixels that do not count.
    """

    ignore_index: int = 255

    @property
    def differing(self) -> str:
        """See `Maps`."""
        return "differ most in class"

    def colours(self, value: UInt8) -> UInt8:
        """The classes' colours; grey where there is none."""
        return self.palette()[value]

    def palette(self) -> UInt8:
        """Colours of all labels, RGB [256, 3]."""
        found = palette(256)
        found[self.ignore_index] = IGNORED_COLOUR
        return found

    def disagreement(self, predictions: UInt8, truth: UInt8) -> Float64:
        """Share of the predictions that differ from the majority; 0 where the truth is ignored."""
        most: Float64 = np.zeros(predictions.shape[1:])
        for value in np.unique(predictions):
            most = np.maximum(most, (predictions == value).sum(axis=0))
        share: Float64 = 1 - most / len(predictions)
        share[truth == self.ignore_index] = 0
        return share
