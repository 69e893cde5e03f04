"""Sheets of samples of any kind and size."""

import numpy as np
import pytest

from denseup.visualization import palette, sample_sheet, step_sheet
from denseup.visualization.maps import IGNORED_COLOUR
from denseup.visualization.samples import DARK, LIGHT, levels_of, maps_of, picture_of

HEIGHT, WIDTH, STRIP, GAP = 12, 16, 20, 4


def image(height=HEIGHT, width=WIDTH):
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)


def test_floats_are_levels_and_what_lies_outside_is_cut():
    values = np.array([[0, 0.5, 1, 1.5, -1, np.nan]], np.float32)
    assert levels_of(values).tolist() == [[0, 128, 255, 255, 0, 0]]
    assert levels_of(image()) is not None


def test_a_foreground_alone_stands_on_chequered_ground():
    colours = np.full((HEIGHT, WIDTH, 3), 0.25, np.float32)
    alpha = np.zeros((HEIGHT, WIDTH), np.float32)
    alpha[:, 8:] = 1
    layer = np.dstack([colours * alpha[..., None], alpha])
    for sample in ({"layer": layer}, {"foreground": colours, "alpha": alpha}):
        shown = picture_of(sample)
        assert (shown[:, 8:] == 64).all()
        assert set(np.unique(shown[:, :8])) == {round(255 * DARK), round(255 * LIGHT)}


def test_maps_by_their_kind():
    label = np.full((HEIGHT, WIDTH), 255, np.int64)
    label[:, :4] = 2
    shown = dict(maps_of({"image": image(), "alpha": np.full((HEIGHT, WIDTH), 0.5, np.float32), "label": label}))
    assert (shown["alpha"] == 128).all()
    assert (shown["label"][:, :4] == palette(3)[2]).all()
    assert (shown["label"][:, 4:] == IGNORED_COLOUR).all()


def test_samples_in_rows_with_a_legend():
    label = np.zeros((HEIGHT, WIDTH), np.uint8)
    label[0, 0] = 255
    samples = [(f"s{number}", {"image": image(), "label": label}) for number in range(3)]
    panel = 3 * WIDTH + 2 * GAP
    sheet = sample_sheet(samples, 2)
    assert sheet.shape == (2 * (HEIGHT + STRIP) + GAP, 2 * panel + 3 * GAP, 3)
    with_names = sample_sheet(samples, 2, ("ground", "tree"))
    assert with_names.shape[0] == sheet.shape[0] + STRIP
    both = with_names[STRIP : STRIP + HEIGHT, 2 * (WIDTH + GAP) : panel]
    assert np.array_equal(both[0, 5], np.rint(0.5 * image()[0, 5] + 0.5 * palette(1)[0]).astype(np.uint8))


def test_samples_of_different_sizes():
    samples = [("a", {"image": image(9, 30)}), ("b", {"image": image(1, 1)}), ("c", {"image": image(30, 9)})]
    assert sample_sheet(samples, 3).shape == (30 + STRIP, 30 + 1 + 9 + 6 * GAP, 3)


def test_a_step_in_each_column():
    trimap = np.full((HEIGHT, WIDTH), 128, np.uint8)
    stages = [("flip", {"image": image()}), ("trimap", {"image": image(), "trimap": trimap})]
    side = 32
    sheet = step_sheet([("a", stages), ("b", stages[:1])], side)
    cell = round(HEIGHT * side / WIDTH)
    assert sheet.shape == (2 * cell + STRIP + GAP + cell + STRIP, 2 * side + GAP, 3)
    assert (sheet[STRIP + cell + 1 : STRIP + 2 * cell, side + GAP + 1 :] == 128).all()
    assert (sheet[STRIP + cell : STRIP + 2 * cell, :side] == 255).all()


def test_a_sample_without_a_picture_is_refused():
    with pytest.raises(ValueError, match="found alpha; expected image, layer, or foreground and alpha"):
        picture_of({"alpha": np.zeros((2, 2))})
