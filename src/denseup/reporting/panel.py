"""The qualitative panel: image, truth and each upsampler's prediction, enlarged where they differ most."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from denseup.visualization import grid, palette
from denseup.visualization.layout import side_by_side

UInt8 = NDArray[np.uint8]

TILE = 208
"""Width of a picture in the panel, pixels."""
COLUMNS = 8
INSET_SHARE = 4
"""Side of the image ÷ side of the part that is enlarged."""
FRAME = (230, 0, 120)
IGNORED = (128, 128, 128)


@dataclass(frozen=True)
class Example:
    """One validation image with what each upsampler made of it.

    Args:
        name: for the caption.
        image: RGB, uint8 [H, W, 3].
        truth: alpha or class labels, uint8 [H, W].
        predictions: label of the upsampler → the same, uint8 [H, W].
        labels: whether the maps hold classes, not alpha.
        ignore_index: the class that does not count.
    """

    name: str
    image: UInt8
    truth: UInt8
    predictions: Mapping[str, UInt8]
    labels: bool
    ignore_index: int = 255


def panel(example: Example) -> UInt8:
    """All pictures of an example, each above its enlarged part, in rows of COLUMNS.

    Raises:
        ValueError: there are no predictions, or one is not of the image's size.
    """
    size = example.image.shape[:2]
    for label, prediction in example.predictions.items():
        if prediction.shape != size:
            raise ValueError(f"predictions[{label!r}] is {list(prediction.shape)}, expected the image's {list(size)}")
    top, left, side = most_different(example)
    maps = {"truth": example.truth, **example.predictions}
    pictures = {"image": example.image, **{name: _colours(example, value) for name, value in maps.items()}}
    tiles = [(name, _tile(picture, top, left, side)) for name, picture in pictures.items()]
    rows = math.ceil(len(tiles) / COLUMNS)
    per_row = math.ceil(len(tiles) / rows)
    return grid([side_by_side(tiles[i : i + per_row]) for i in range(0, len(tiles), per_row)])


def most_different(example: Example) -> tuple[int, int, int]:
    """Top, left and side of the square in which the predictions differ most from one another.

    For alpha it is their variance that is summed over the square, for classes the share that is not the majority.

    Raises:
        ValueError: there are no predictions.
    """
    if not example.predictions:
        raise ValueError("predictions is empty, expected at least one")
    stack = np.stack(list(example.predictions.values()))
    if example.labels:
        disagreement = 1 - _majority(stack) / len(stack)
        disagreement[example.truth == example.ignore_index] = 0
    else:
        disagreement = stack.astype(np.float64).var(axis=0)
    side = max(min(stack.shape[1:]) // INSET_SHARE, 1)
    sums = cv2.boxFilter(disagreement, -1, (side, side), anchor=(0, 0), normalize=False, borderType=cv2.BORDER_CONSTANT)
    inside = sums[: stack.shape[1] - side + 1, : stack.shape[2] - side + 1]
    top, left = np.unravel_index(int(inside.round(6).argmax()), inside.shape)
    return int(top), int(left), side


def _majority(stack: UInt8) -> NDArray[np.float64]:
    """How many predictions say what most of them say, [H, W]."""
    counts: NDArray[np.float64] = np.zeros(stack.shape[1:])
    for value in np.unique(stack):
        counts = np.maximum(counts, (stack == value).sum(axis=0))
    return counts


def _colours(example: Example, value: UInt8) -> UInt8:
    if not example.labels:
        return np.repeat(value[..., None], 3, axis=-1)
    colours = palette(256)
    colours[example.ignore_index] = IGNORED
    return colours[value]


def _tile(picture: UInt8, top: int, left: int, side: int) -> UInt8:
    """The picture with the square framed, above the square enlarged to the same width."""
    scale = TILE / picture.shape[1]
    small = cv2.resize(picture, (TILE, round(picture.shape[0] * scale)), interpolation=cv2.INTER_AREA)
    corner, opposite = (
        (round(left * scale), round(top * scale)),
        (round((left + side) * scale), round((top + side) * scale)),
    )
    cv2.rectangle(small, corner, opposite, FRAME, 2)
    part = picture[top : top + side, left : left + side]
    enlarged = cv2.resize(part, (TILE, TILE), interpolation=cv2.INTER_NEAREST)
    cv2.rectangle(enlarged, (0, 0), (TILE - 1, TILE - 1), FRAME, 2)
    return np.concatenate([small, np.full((3, TILE, 3), 255, np.uint8), enlarged])


def caption(examples: Sequence[Example]) -> str:
    """What the panels of these examples show."""
    what = "differ most in class" if examples[0].labels else "have the largest variance of alpha"
    return f"Best checkpoints on validation images; enlarged: the square where the predictions {what}."
