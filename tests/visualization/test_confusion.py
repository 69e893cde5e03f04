"""A confusion matrix drawn: a cell for each share, darker where it is larger, grey rows where nothing is true."""

import numpy as np
import pytest

from denseup.visualization import confusion_picture
from denseup.visualization.confusion import CELL, FULL, LEAST, NEVER
from denseup.visualization.layout import GAP


def cells(picture: np.ndarray, number: int, cell: int) -> np.ndarray:
    """Colour of each cell near its upper left corner, where no number is written, [n, n, 3]."""
    bottom = picture.shape[0] - 2 * GAP
    row = picture[bottom - cell + 2]  # of the last class, which is never true: grey, between white lines
    grey = (row == NEVER).all(-1)
    left = next(x for x in range(len(grey)) if grey[x : x + cell - 1].all()) - 1
    return picture[bottom - number * cell + 2 : bottom : cell, left + 2 : left + number * cell : cell]


@pytest.mark.parametrize(("number", "cell"), [(3, CELL), (140, LEAST)])
def test_cells_have_the_colour_of_their_share(number: int, cell: int) -> None:
    shares = np.zeros((number, number))
    shares[0, 0], shares[0, 1], shares[1, 1] = 0.5, 0.5, 1
    shares[-1] = np.nan
    picture = confusion_picture(shares, [f"class {i}" for i in range(number)])
    assert (picture.dtype, picture.shape[2]) == (np.uint8, 3)
    expected = np.rint(255 + (FULL - 255) * shares[..., None])
    expected[-1] = NEVER
    assert np.array_equal(cells(picture, number, cell), expected)


def test_one_class_never_true_under_a_long_name() -> None:
    picture = confusion_picture(np.full((1, 1), np.nan), ["a name that is longer than the cell is wide"])
    assert cells(picture, 1, CELL).tolist() == [[list(NEVER)]]
