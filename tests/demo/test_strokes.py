"""What was brushed, as a trimap."""

import numpy as np
import pytest

from denseup.demo.strokes import FOREGROUND, UNSURE, trimap_of
from denseup.prediction.trimaps import grown_trimap


def layer(**boxes: tuple[slice, slice]) -> np.ndarray:
    """RGBA [40, 60, 4] with boxes of the brush's colours."""
    picture = np.zeros((40, 60, 4), np.uint8)
    for name, box in boxes.items():
        colour = {"green": FOREGROUND, "blue": UNSURE}[name.rstrip("_")]
        picture[box] = [*bytes.fromhex(colour[1:]), 255]
    return picture


BODY, EDGE = (slice(10, 30), slice(10, 40)), (slice(5, 12), slice(8, 42))


def test_green_is_foreground_blue_unknown_and_the_rest_background() -> None:
    trimap = trimap_of([layer(green=BODY, blue=EDGE)], band=20)
    expected = np.zeros((40, 60), np.uint8)
    expected[BODY], expected[EDGE] = 255, 128
    np.testing.assert_array_equal(trimap, expected)


def test_later_layers_lie_on_top() -> None:
    trimap = trimap_of([layer(blue=EDGE), layer(green=BODY)], band=20)
    assert trimap is not None
    assert trimap[11, 20] == 255
    assert trimap[6, 20] == 128


def test_without_blue_a_band_around_the_green_is_unknown() -> None:
    mask = np.zeros((40, 60), np.uint8)
    mask[BODY] = 255
    np.testing.assert_array_equal(trimap_of([layer(green=BODY)], band=3), grown_trimap(mask, 3))


@pytest.mark.parametrize("layers", [[], [layer()]])
def test_nothing_brushed_is_no_trimap(layers: list[np.ndarray]) -> None:
    assert trimap_of(layers, band=20) is None


def test_soft_edges_of_strokes_count_from_the_half_on() -> None:
    picture = layer(green=BODY, blue=(slice(0, 2), slice(0, 2)))
    picture[20, 50] = [60, 140, 70, 127]
    picture[20, 51] = [60, 140, 70, 128]
    trimap = trimap_of([picture], band=3)
    assert trimap is not None
    assert (trimap[20, 50], trimap[20, 51]) == (0, 255)
