"""A confusion matrix as a picture."""

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from denseup.visualization.layout import FONT, GAP, INK, PAPER, UInt8

TITLE = "rows: truth, columns: prediction, per cent of the row"
CELL, LEAST, MOST = 34, 12, 1600
"""Side of a cell: usually, at least, and of all together before cells get smaller."""
FULL = np.array((0, 90, 150), np.float64)
"""Colour of a share of 1; that of 0 is the paper's."""
NEVER = (225, 225, 225)
"""Of rows that are never true."""
SCALE, ENDS = 0.42, 24


def confusion_picture(shares: NDArray[np.float64], names: Sequence[str]) -> UInt8:
    """RGB uint8 [h, w, 3]: shares [n, n] of each row in 0..1, NaN throughout a row that is never true, with names.

    Shares are written into the cells, in per cent, where there is room for them.
    """
    cell = int(np.clip(MOST // len(names), LEAST, CELL))
    left = max(_labels(names, cell).shape[1], 1)
    body = _cells(shares, cell)
    columns = np.rot90(_labels(names, cell))
    width = max(left + body.shape[1], _width(TITLE)) + 2 * GAP
    picture = np.full((ENDS + columns.shape[0] + body.shape[0] + 2 * GAP, width, 3), PAPER, np.uint8)
    cv2.putText(picture, TITLE, (GAP, ENDS - 8), FONT, SCALE, INK, 1, cv2.LINE_AA)
    top, start = ENDS + columns.shape[0], GAP + left
    picture[ENDS:top, start : start + body.shape[1]] = columns
    picture[top : top + body.shape[0], GAP:start] = _labels(names, cell)
    picture[top : top + body.shape[0], start : start + body.shape[1]] = body
    return picture


def _cells(shares: NDArray[np.float64], cell: int) -> UInt8:
    known = np.nan_to_num(shares)[..., None]
    colours = np.rint(PAPER + (FULL - PAPER) * known.clip(0, 1)).astype(np.uint8)
    colours[np.isnan(shares)] = NEVER
    body = np.ascontiguousarray(colours.repeat(cell, 0).repeat(cell, 1))
    body[::cell], body[:, ::cell] = PAPER, PAPER
    if cell >= CELL:
        for (row, column), share in np.ndenumerate(shares):
            if share >= 0.005:
                ink = (PAPER,) * 3 if share > 0.5 else INK
                at = (column * cell + 4, row * cell + cell // 2 + 5)
                cv2.putText(body, f"{100 * share:.0f}", at, FONT, SCALE, ink, 1, cv2.LINE_AA)
    return body


def _labels(names: Sequence[str], cell: int) -> UInt8:
    """The names under one another, each as high as a cell."""
    width = max(_width(name) for name in names) + 2 * GAP
    strips = np.full((cell * len(names), width, 3), PAPER, np.uint8)
    for i, name in enumerate(names):
        cv2.putText(strips, name, (GAP, i * cell + cell // 2 + 4), FONT, _scale(cell), INK, 1, cv2.LINE_AA)
    return strips


def _scale(cell: int) -> float:
    return SCALE * min(1.0, cell / 18)


def _width(text: str) -> int:
    return int(cv2.getTextSize(text, FONT, SCALE, 1)[0][0])
