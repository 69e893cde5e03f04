"""The qualitative panel: image, truth and each upsampler's prediction, enlarged where they differ most."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from denseup.visualization import Maps, grid
from denseup.visualization.layout import side_by_side

UInt8 = NDArray[np.uint8]

TILE = 208
"""Width of a picture in the panel, pixels."""
COLUMNS = 8
INSET_SHARE = 4
"""Side of the image ÷ side of the part that is enlarged."""
FRAME = (230, 0, 120)


@dataclass(frozen=True)
class Example:
    """One validation image with what each upsampler made of it.

    Args:
        name: for the caption.
        image: RGB, uint8 [H, W, 3].
        truth: such as alpha or class labels, [H, W].
        predictions: label of the upsampler → the same, [H, W].
        maps: what kind of maps these are.
    """

    name: str
    image: UInt8
    truth: UInt8
    predictions: Mapping[str, UInt8]
    maps: Maps


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
    pictures = {"image": example.image, **{name: example.maps.colours(value) for name, value in maps.items()}}
    tiles = [(name, _tile(picture, top, left, side)) for name, picture in pictures.items()]
    rows = math.ceil(len(tiles) / COLUMNS)
    per_row = math.ceil(len(tiles) / rows)
    return grid([side_by_side(tiles[i : i + per_row]) for i in range(0, len(tiles), per_row)])


def most_different(example: Example) -> tuple[int, int, int]:
    """Top, left and side of the square in which the predictions differ most from one another.

    Raises:
        ValueError: there are no predictions.
    """
    if not example.predictions:
        raise ValueError("predictions is empty, expected at least one")
    stack = np.stack(list(example.predictions.values()))
    disagreement = example.maps.disagreement(stack, example.truth)
    side = max(min(stack.shape[1:]) // INSET_SHARE, 1)
    sums = cv2.boxFilter(disagreement, -1, (side, side), anchor=(0, 0), normalize=False, borderType=cv2.BORDER_CONSTANT)
    inside = sums[: stack.shape[1] - side + 1, : stack.shape[2] - side + 1]
    top, left = np.unravel_index(int(inside.round(6).argmax()), inside.shape)
    return int(top), int(left), side


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
    what = examples[0].maps.differing
    return f"The weights that are told, on validation images; enlarged: the square where the predictions {what}."
