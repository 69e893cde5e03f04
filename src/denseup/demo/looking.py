"""What is shown of results: pictures of one size, and the same few pixels of all of them, enlarged."""

from collections.abc import Sequence

import cv2
import numpy as np

from denseup.results import Result
from denseup.results.base import UInt8

CHECKER, LIGHT, DARK = 8, 235, 190
"""What is transparent lies on squares of so many pixels, of these grey levels."""


def shown(result: Result, kind: str) -> UInt8:
    """One of the result's pictures, RGB uint8 [H, W, 3]; what is transparent on a chequered ground."""
    picture = result.picture(kind)
    if picture.mode != "RGBA":
        return np.asarray(picture.convert("RGB"))
    rgba = np.asarray(picture)
    alpha = rgba[..., 3:].astype(np.float32) / 255
    mixed = rgba[..., :3] * alpha + checkers(rgba.shape[0], rgba.shape[1])[..., None] * (1 - alpha)
    return np.rint(mixed).astype(np.uint8)


def checkers(height: int, width: int) -> UInt8:
    """Grey squares, uint8 [H, W]."""
    rows, columns = np.arange(height) // CHECKER, np.arange(width) // CHECKER
    return np.where((rows[:, None] + columns) % 2, DARK, LIGHT).astype(np.uint8)


def enlarged(picture: UInt8, centre: tuple[int, int], side: int, size: int) -> UInt8:
    """A square of `side` pixels around `centre` (x, y), at `size` pixels; at the border it moves into the picture.

    Each pixel of the picture stays a square of one colour. A picture smaller than `side` is shown whole.
    """
    spans = []
    for middle, length in zip(centre[::-1], picture.shape[:2], strict=True):
        start = min(max(middle - side // 2, 0), max(length - side, 0))
        spans.append(slice(start, start + side))
    part = picture[spans[0], spans[1]]
    scale = size / max(part.shape[:2])
    width, height = (max(1, round(length * scale)) for length in (part.shape[1], part.shape[0]))
    return np.asarray(cv2.resize(part, (width, height), interpolation=cv2.INTER_NEAREST), np.uint8)


def where_they_differ(found: Sequence[UInt8], side: int) -> tuple[int, int]:
    """(x, y), the middle of the square in which pictures of one size differ most; of one picture, its middle."""
    height, width = found[0].shape[:2]
    if len(found) < 2:
        return width // 2, height // 2
    levels = np.stack([picture.astype(np.float32).mean(2) for picture in found])
    spread = cv2.boxFilter(levels.max(0) - levels.min(0), -1, (side, side), borderType=cv2.BORDER_CONSTANT)
    y, x = np.unravel_index(int(spread.argmax()), spread.shape)
    return int(x), int(y)
