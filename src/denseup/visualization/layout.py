"""Pictures side by side with captions, stacked into a grid and written to disk; uint8 RGB throughout."""

import os
from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from denseup.writing import write_whole

UInt8 = NDArray[np.uint8]

FONT = cv2.FONT_HERSHEY_SIMPLEX
GAP = 4
TEXT_HEIGHT = 20
TEXT_SCALE, SMALLEST_SCALE = 0.45, 0.1
INK = (24, 24, 24)
PAPER = 255


def check_rgb(name: str, image: UInt8) -> None:
    """ValueError unless the image is uint8 [H, W, 3]."""
    if not isinstance(image, np.ndarray) or image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
        got = f"{image.dtype} {list(image.shape)}" if isinstance(image, np.ndarray) else type(image).__name__
        raise ValueError(f"{name} must be a uint8 numpy.ndarray [H, W, 3] in RGB order, got {got}")


def write_text(strip: UInt8, text: str, left: int, width: int) -> None:
    """Write text into a strip [TEXT_HEIGHT, W, 3], made smaller where it is wider than `width` pixels."""
    scale = TEXT_SCALE
    while scale > SMALLEST_SCALE and cv2.getTextSize(text, FONT, scale, 1)[0][0] > width:
        scale -= 0.01  # widths do not go with the scale: letters are of whole pixels
    cv2.putText(strip, text, (left, TEXT_HEIGHT - 6), FONT, scale, INK, 1, cv2.LINE_AA)


def captioned(image: UInt8, caption: str) -> UInt8:
    """The image [H, W, 3] under a strip with its caption, [H + TEXT_HEIGHT, W, 3]."""
    strip = np.full((TEXT_HEIGHT, image.shape[1], 3), PAPER, np.uint8)
    write_text(strip, caption, left=2, width=image.shape[1] - 4)
    return np.concatenate([strip, image])


def side_by_side(columns: Sequence[tuple[str, UInt8]]) -> UInt8:
    """Captioned images of one height in a row, with a gap between them."""
    gap = np.full((columns[0][1].shape[0] + TEXT_HEIGHT, GAP, 3), PAPER, np.uint8)
    parts = [part for caption, image in columns for part in (captioned(image, caption), gap)]
    return np.concatenate(parts[:-1], axis=1)


def legend(entries: Sequence[tuple[str, tuple[int, int, int]]], width: int) -> UInt8:
    """Colour swatches with their names, broken into as many lines as the width needs, [lines · TEXT_HEIGHT, W, 3]."""
    swatch = TEXT_HEIGHT - 8
    lines = [np.full((TEXT_HEIGHT, width, 3), PAPER, np.uint8)]
    left = 0
    for name, colour in entries:
        text_width = cv2.getTextSize(name, FONT, TEXT_SCALE, 1)[0][0]
        if left and left + swatch + 6 + text_width > width:
            lines.append(np.full_like(lines[0], PAPER))
            left = 0
        lines[-1][4 : 4 + swatch, left : left + swatch] = colour
        write_text(lines[-1], name, left + swatch + 4, max(width - left - swatch - 6, 1))
        left += swatch + text_width + 16
    return np.concatenate(lines)


def grid(panels: Sequence[UInt8]) -> UInt8:
    """Panels [H, W, 3] below one another, narrower ones padded with white on the right.

    Raises:
        ValueError: without a panel, or for one that is not uint8 [H, W, 3].
    """
    if not panels:
        raise ValueError("panels must hold at least one panel, got none")
    for i, panel in enumerate(panels):
        check_rgb(f"panels[{i}]", panel)
    width = max(panel.shape[1] for panel in panels)
    rows = []
    for panel in panels:
        rows.append(np.full((panel.shape[0] + GAP, width, 3), PAPER, np.uint8))
        rows[-1][: panel.shape[0], : panel.shape[1]] = panel
    return np.concatenate(rows)[:-GAP]


def save_png(path: str | os.PathLike[str], rgb: UInt8) -> None:
    """Write an image [H, W, 3] as PNG; whoever reads the path sees the whole file or the one before.

    Raises:
        ValueError: for an image that is not uint8 [H, W, 3].
    """
    check_rgb("rgb", rgb)
    _, encoded = cv2.imencode(".png", cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR))
    write_bytes(path, encoded.tobytes())


def save_webp(path: str | os.PathLike[str], rgb: UInt8, quality: int = 85) -> None:
    """Write an image [H, W, 3] as WebP of a quality up to 100, otherwise as `save_png` does.

    Raises:
        ValueError: for an image that is not uint8 [H, W, 3].
    """
    check_rgb("rgb", rgb)
    options = [cv2.IMWRITE_WEBP_QUALITY, quality]
    _, encoded = cv2.imencode(".webp", cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR), options)
    write_bytes(path, encoded.tobytes())


def write_bytes(path: str | os.PathLike[str], content: bytes) -> None:
    """Write a file so that whoever reads the path sees all of it or the one before; WriteError where it can't be."""
    write_whole(path, content, durable=False)
