"""Captions: where letters may stand."""

import numpy as np
import pytest

from denseup.visualization.layout import TEXT_HEIGHT, write_text

LEFT = 2


@pytest.mark.parametrize("width", [60, 92, 188])
@pytest.mark.parametrize("text", ["fade", "bilinear  step 250", "indexnet_m2o  step 2000"])
def test_text_stays_within_its_width(text: str, width: int) -> None:
    strip = np.full((TEXT_HEIGHT, 600, 3), 255, np.uint8)
    write_text(strip, text, LEFT, width)
    (written,) = (strip < 255).any((0, 2)).nonzero()
    assert written.min() >= LEFT
    assert written.max() < LEFT + width + 1  # smoothing reaches into one pixel more


def test_text_that_fits_is_of_one_size() -> None:
    strips = [np.full((TEXT_HEIGHT, 600, 3), 255, np.uint8) for _ in range(2)]
    for strip, width in zip(strips, (200, 500), strict=True):
        write_text(strip, "bilinear", LEFT, width)
    assert np.array_equal(*strips)
