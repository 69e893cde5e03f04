"""Pictures of one feature map along training: a contact sheet and an animation."""

import io
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from denseup.visualization.layout import PAPER, captioned, check_rgb, grid, side_by_side, write_bytes

UInt8 = NDArray[np.uint8]

TILE = 192
"""Width of a frame in pixels."""
COLUMNS = 7
GREYS = 32
"""Grey levels of a GIF: fewer make a smaller file, more are hardly seen."""
MILLISECONDS, LAST_MILLISECONDS = 450, 2000
OPTIONS: dict[str, dict[str, Any]] = {".gif": {"optimize": False}, ".webp": {"quality": 70, "method": 6}}
"""Of Pillow's, by a file's ending; if it optimised a GIF, every frame would get a palette of its own."""


def tile(picture: UInt8, width: int = TILE) -> UInt8:
    """A grey [H, W] or RGB [H, W, 3] picture in a given width, RGB; enlarged pixels stay squares."""
    rgb = np.repeat(picture[..., None], 3, axis=-1) if picture.ndim == 2 else picture
    height = max(round(rgb.shape[0] * width / rgb.shape[1]), 1)
    method = cv2.INTER_AREA if width < rgb.shape[1] else cv2.INTER_NEAREST
    return np.asarray(cv2.resize(rgb, (width, height), interpolation=method), np.uint8)


def contact_sheet(frames: Mapping[int, UInt8], columns: int = COLUMNS) -> UInt8:
    """The frames in order of their steps, which stand above them, in rows of `columns`.

    Args:
        frames: step → grey [H, W], all of one size.
        columns: in a row.

    Raises:
        ValueError: there are no frames.
    """
    tiles = [(f"step {step}", tile(frame)) for step, frame in sorted(frames.items())]
    return grid([side_by_side(tiles[i : i + columns]) for i in range(0, len(tiles), columns)])


def comparison_sheet(image: UInt8, rows: Mapping[str, Mapping[int, UInt8]], width: int = TILE) -> UInt8:
    """A row of frames for each name, with the image they come from at the left of the first.

    Args:
        image: RGB [H, W, 3], in the frames' proportions.
        rows: name → step → grey [H, W], all of one size and with the same steps.
        width: of a frame in pixels.

    Raises:
        ValueError: there are no rows.
    """
    lines: list[UInt8] = []
    for name, frames in rows.items():
        tiles = [(f"step {step}", tile(frame, width)) for step, frame in sorted(frames.items())]
        left = np.full_like(tiles[0][1], PAPER) if lines else _fitted(image, tiles[0][1])
        lines.append(side_by_side([(name, left), *tiles]))
    return grid(lines)


def animation(rows: Mapping[str, Mapping[int, UInt8]], columns: int = COLUMNS, width: int = TILE) -> list[UInt8]:
    """For each step the frames of all names side by side, in rows of `columns`; name and step stand above each.

    Args:
        rows: name → step → grey [H, W], all of one size and with the same steps.
        columns: in a row.
        width: of a frame in pixels.
    """
    steps = sorted(next(iter(rows.values())))
    pictures = []
    for step in steps:
        tiles = [captioned(tile(frames[step], width), f"{name}  step {step}".strip()) for name, frames in rows.items()]
        lines = [tiles[i : i + columns] for i in range(0, len(tiles), columns)]
        pictures.append(grid([np.concatenate(line, axis=1) for line in lines]))
    return pictures


def save_animation(path: str | os.PathLike[str], pictures: Sequence[UInt8]) -> None:
    """Write grey pictures as an endless animation that rests on the last; readers see the whole file or the one before.

    Args:
        path: of the file; ends in .gif, which everything shows, or in .webp, in a third to a half of the room.
        pictures: RGB [H, W, 3] without colour, all of one size.

    Raises:
        ValueError: another ending, there are no pictures, or one is not uint8 [H, W, 3].
    """
    suffix = Path(path).suffix
    if suffix not in OPTIONS:
        raise ValueError(f"path must end in {' or '.join(OPTIONS)}, got {str(path)!r}")
    if not pictures:
        raise ValueError("pictures must hold at least one picture, got none")
    for i, picture in enumerate(pictures):
        check_rgb(f"pictures[{i}]", picture)
    first, *others = [_indexed(picture) if suffix == ".gif" else Image.fromarray(picture) for picture in pictures]
    durations = [MILLISECONDS] * len(others) + [LAST_MILLISECONDS]
    buffer = io.BytesIO()
    options = {"save_all": True, "append_images": others, "duration": durations, "loop": 0, **OPTIONS[suffix]}
    first.save(buffer, suffix[1:].upper(), **options)
    write_bytes(path, buffer.getvalue())


def _fitted(image: UInt8, model: UInt8) -> UInt8:
    size = (model.shape[1], model.shape[0])
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)


def _indexed(picture: UInt8) -> Image.Image:
    levels = (picture[..., 0].astype(np.uint16) * (GREYS - 1) + 127) // 255
    image = Image.fromarray(levels.astype(np.uint8), "P")
    image.putpalette([round(level * 255 / (GREYS - 1)) for level in range(GREYS) for _ in range(3)])
    return image
