"""The panel enlarges what differs, and shows what the checkpoints predict."""

import numpy as np
import pytest

from denseup.reporting import Example
from denseup.reporting.panel import TILE, most_different, panel
from denseup.visualization import ClassMaps, Maps, ValueMaps

ALPHA, CLASSES = ValueMaps("alpha"), ClassMaps()


def example(maps: Maps, *predictions: np.ndarray) -> Example:
    image = np.zeros((80, 120, 3), np.uint8)
    named = {f"upsampler {i}": prediction for i, prediction in enumerate(predictions)}
    return Example("x", image, np.zeros((80, 120), np.uint8), named, maps)


@pytest.mark.parametrize("maps", [ALPHA, CLASSES])
def test_the_square_is_where_predictions_differ(maps: Maps) -> None:
    one, other = np.zeros((2, 80, 120), np.uint8)
    other[50:60, 90:100] = 3
    top, left, side = most_different(example(maps, one, other))
    assert side == 20
    assert top <= 50 <= 60 <= top + side
    assert left <= 90 <= 100 <= left + side


def test_ignored_pixels_do_not_attract_it() -> None:
    one, other = np.zeros((2, 80, 120), np.uint8)
    other[0:30, 0:30] = 1
    other[60:65, 100:105] = 1
    found = example(CLASSES, one, other)
    found.truth[:40, :40] = 255
    top, left, _ = most_different(found)
    assert top > 40
    assert left > 80


def test_many_predictions_break_into_rows() -> None:
    maps = np.zeros((10, 80, 120), np.uint8)
    picture = panel(example(ALPHA, *maps))
    assert picture.shape[1] < 7 * TILE
    assert picture.shape[0] > 2 * TILE


def test_wrong_predictions_are_named() -> None:
    with pytest.raises(ValueError, match=r"upsampler 0.*\[3, 4\].*\[80, 120\]"):
        panel(example(ALPHA, np.zeros((3, 4), np.uint8)))
    with pytest.raises(ValueError, match="empty"):
        panel(example(ALPHA))
