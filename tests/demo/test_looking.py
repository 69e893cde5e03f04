"""What is shown of results, and what the magnifier enlarges."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from denseup.demo.comparing import Answers, names_of
from denseup.demo.looking import checkers, enlarged, shown, where_they_differ
from denseup.results import LabelMap, ValueMap

COUNTING = np.arange(30 * 40 * 3, dtype=np.uint32).reshape(30, 40, 3).astype(np.uint8)


@pytest.mark.parametrize(
    ("centre", "rows", "columns"),
    [((20, 15), (11, 19), (16, 24)), ((0, 0), (0, 8), (0, 8)), ((39, 29), (22, 30), (32, 40))],
    ids=["inside", "first corner", "last corner"],
)
def test_a_square_is_enlarged_pixel_by_pixel(
    centre: tuple[int, int], rows: tuple[int, int], columns: tuple[int, int]
) -> None:
    part = COUNTING[slice(*rows), slice(*columns)]
    np.testing.assert_array_equal(enlarged(COUNTING, centre, 8, 32), np.kron(part, np.ones((4, 4, 1), np.uint8)))


def test_a_picture_smaller_than_the_square_is_shown_whole() -> None:
    found = enlarged(COUNTING, (3, 3), 64, 80)
    assert found.shape == (60, 80, 3)
    np.testing.assert_array_equal(found[::2, ::2], COUNTING)


def test_the_magnifier_begins_where_pictures_differ_most() -> None:
    other = COUNTING.copy()
    other[20:24, 30:34] = 255 - other[20:24, 30:34]
    x, y = where_they_differ([COUNTING, other], 4)
    assert 30 <= x < 34
    assert 20 <= y < 24
    assert where_they_differ([COUNTING], 4) == (20, 15)


def test_what_is_transparent_lies_on_squares() -> None:
    class CutOut(ValueMap):
        def picture(self, kind: str, bits: int = 8) -> Image.Image:
            return Image.fromarray(np.dstack([COUNTING, self.values]))

    alpha = np.zeros((30, 40), np.uint8)
    alpha[:, 20:] = 255
    found = shown(CutOut(COUNTING, alpha, "alpha"), "cutout")
    np.testing.assert_array_equal(found[:, 20:], COUNTING[:, 20:])
    np.testing.assert_array_equal(found[:, :20], np.dstack([checkers(30, 40)] * 3)[:, :20])


def test_answers_draw_each_kind_once_and_tell_their_times() -> None:
    labels = LabelMap(COUNTING, np.ones((30, 40), np.uint8), ("sky", "road"))
    answers = Answers(COUNTING, {"fade": labels}, {"fade": 0.456})
    found = answers.pictures("labels")
    assert list(found) == ["image", "fade"]
    np.testing.assert_array_equal(found["fade"][0, 0], labels.palette[1])
    assert answers.pictures("labels") is found
    assert answers.times() == "40 × 30 pixels: fade 0.46 s"


def test_networks_are_named_by_upsampler_and_as_much_of_the_path_as_it_takes() -> None:
    paths = [Path(path) for path in ("runs/a/best.ckpt", "runs/b/best.ckpt", "runs/c/best.ckpt")]
    assert names_of(["fade", "carafe", "sapa"], paths) == ["fade", "carafe", "sapa"]
    assert names_of(["fade", "carafe", "fade"], paths) == ["fade (a/best.ckpt)", "carafe", "fade (c/best.ckpt)"]
    with pytest.raises(ValueError, match="ckpt names a checkpoint twice"):
        names_of(["fade", "fade"], [paths[0], paths[0]])
