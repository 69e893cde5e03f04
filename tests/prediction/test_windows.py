"""Windows cover an image once, begin and end where strides do, and keep to their bound."""

import numpy as np
import pytest

from denseup.prediction.windows import TooLittleError, windows

SIZES = [(64, 64), (333, 1000), (1, 700), (97, 31), (2048, 130)]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(("halo", "step"), [(0, 1), (32, 32), (96, 32), (14, 14)])
def test_each_pixel_is_wanted_once(size: tuple[int, int], halo: int, step: int) -> None:
    wanted = np.zeros(size, int)
    pixels = (2 * halo + 3 * step + 20) ** 2
    for rows, columns in windows(size, pixels, halo, step):
        wanted[rows.wanted, columns.wanted] += 1
        assert (rows.last - rows.first) * (columns.last - columns.first) <= pixels
        for span, length in ((rows, size[0]), (columns, size[1])):
            assert span.first % step == 0
            assert (span.last - span.first) % step == length % step or span.last == length
            assert span.start - span.first >= min(halo, span.start)
            assert span.last - span.stop >= min(halo, length - span.stop)
    assert (wanted == 1).all()


def test_what_fits_is_one_window() -> None:
    assert len(list(windows((300, 500), 300 * 500, 64, 32))) == 1


def test_a_bound_that_nothing_fits_into() -> None:
    with pytest.raises(TooLittleError) as caught:
        list(windows((1000, 1000), 100 * 100, 64, 32))
    assert caught.value.pixels == (64 + 128) ** 2
