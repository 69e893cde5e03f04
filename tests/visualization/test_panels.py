"""Panels have the pixels, sizes and messages that their docstrings promise."""

import cv2
import numpy as np
import pytest

from denseup.visualization import grid, matting_panel, palette, save_png, segmentation_panel
from denseup.visualization.layout import GAP, TEXT_HEIGHT
from denseup.visualization.maps import IGNORED_COLOUR
from denseup.visualization.panels import ERROR_COLOUR

HEIGHT, WIDTH = 60, 90


def column(panel, index, height=HEIGHT, width=WIDTH):
    left = index * (width + GAP)
    return panel[TEXT_HEIGHT : TEXT_HEIGHT + height, left : left + width]


@pytest.fixture
def image():
    return np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3)).astype(np.uint8)


@pytest.fixture
def alphas():
    return list(np.random.default_rng(1).integers(0, 256, (3, HEIGHT, WIDTH)).astype(np.uint8))


@pytest.fixture
def labels():
    return list(np.random.default_rng(2).integers(0, 4, (2, HEIGHT, WIDTH)))


def test_matting_panel_shows_what_it_was_given(image, alphas):
    panel = matting_panel(image, *alphas)
    assert panel.dtype == np.uint8
    assert panel.shape == (HEIGHT + TEXT_HEIGHT, 4 * WIDTH + 3 * GAP, 3)
    np.testing.assert_array_equal(column(panel, 0), image)
    for i, alpha in enumerate(alphas, start=1):
        np.testing.assert_array_equal(column(panel, i), np.repeat(alpha[..., None], 3, axis=-1))


def test_every_column_has_a_caption_that_stays_in_it(image, alphas):
    panel = matting_panel(image, *alphas)
    for i in range(4):
        strip = panel[:TEXT_HEIGHT, i * (WIDTH + GAP) : i * (WIDTH + GAP) + WIDTH]
        assert strip.min() < 100
    for i in range(3):
        assert (panel[:, i * (WIDTH + GAP) + WIDTH : (i + 1) * (WIDTH + GAP)] == 255).all()


def test_narrow_images_have_smaller_captions():
    alpha = np.zeros((8, 24), np.uint8)
    panel = matting_panel(np.zeros((8, 24, 3), np.uint8), alpha, alpha, alpha)
    assert panel.shape == (8 + TEXT_HEIGHT, 4 * 24 + 3 * GAP, 3)
    assert (panel[:TEXT_HEIGHT, 2 * 28 + 23] == 255).all()


def test_segmentation_panel_colours_and_errors(image, labels):
    label, prediction = labels
    label[:5] = 255
    panel = segmentation_panel(image, label, prediction)
    assert panel.shape == (HEIGHT + TEXT_HEIGHT, 4 * WIDTH + 3 * GAP, 3)
    np.testing.assert_array_equal(column(panel, 0), image)
    np.testing.assert_array_equal(column(panel, 1), palette(4)[prediction])
    np.testing.assert_array_equal(column(panel, 2)[5:], palette(4)[label[5:]])
    assert (column(panel, 2)[:5] == IGNORED_COLOUR).all()
    errors = column(panel, 3)
    assert (errors[:5] == IGNORED_COLOUR).all()
    wrong = label[5:] != prediction[5:]
    np.testing.assert_array_equal((errors[5:] == ERROR_COLOUR).all(-1), wrong)
    assert errors[5:][~wrong].max() <= 0.4 * 255


def test_perfect_and_ignored_maps_have_no_errors(image):
    nothing = np.full((HEIGHT, WIDTH), 255)
    assert (column(segmentation_panel(image, nothing, np.zeros_like(nothing)), 3) == IGNORED_COLOUR).all()
    perfect = column(segmentation_panel(image, nothing * 0, nothing * 0), 3)
    assert not (perfect == ERROR_COLOUR).all(-1).any()


def test_legend_has_the_colours_that_occur_and_breaks_lines(image, labels):
    label, prediction = labels
    names = ["background", "fur", "leafy with a long name", "bare", "absent"]
    panel = segmentation_panel(image, label, prediction, names)
    legend = panel[HEIGHT + TEXT_HEIGHT :].reshape(-1, 3)
    for i, colour in enumerate(palette(5)):
        assert (legend == colour).all(-1).any() == (i < 4)
    narrow = segmentation_panel(image[:, :30].copy(), label[:, :30], prediction[:, :30], names)
    assert len(narrow) > len(panel)


def test_palette_is_deterministic_distinct_and_a_prefix_of_the_larger():
    colours = palette(256)
    assert colours.dtype == np.uint8
    assert colours.shape == (256, 3)
    assert len(np.unique(colours, axis=0)) == 256
    np.testing.assert_array_equal(palette(19), colours[:19])
    # Fixed values, so that pictures from two machines can be compared.
    assert colours[[0, 6, 7, 8, 149]].tolist() == [
        [0, 114, 178],
        [240, 228, 66],
        [24, 24, 248],
        [228, 248, 167],
        [65, 105, 187],
    ]
    colours[:] = 0
    assert palette(1).any()


def test_palette_keeps_clear_of_black_white_and_the_ignored_grey():
    lab = cv2.cvtColor(palette(150)[None].astype(np.float32) / 255, cv2.COLOR_RGB2Lab)[0]
    reserved = np.asarray([[[0, 0, 0], [255, 255, 255], IGNORED_COLOUR]], np.float32) / 255
    reserved = cv2.cvtColor(reserved, cv2.COLOR_RGB2Lab)[0]
    assert np.linalg.norm(lab[:, None] - reserved, axis=-1).min() > 5


def test_grid_pads_to_the_widest_row():
    rows = [np.full((5, 7, 3), 10, np.uint8), np.full((3, 12, 3), 20, np.uint8)]
    result = grid(rows)
    assert result.shape == (5 + GAP + 3, 12, 3)
    assert (result[:5, :7] == 10).all()
    assert (result[:5, 7:] == 255).all()
    assert (result[5 : 5 + GAP] == 255).all()
    assert (result[5 + GAP :] == 20).all()


def test_save_png_writes_rgb_into_a_new_folder_and_replaces(tmp_path, image):
    path = tmp_path / "images" / "step_1.png"
    save_png(path, np.zeros_like(image))
    save_png(str(path), image)
    read = cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB)
    np.testing.assert_array_equal(read, image)
    assert list(path.parent.iterdir()) == [path]


def test_a_failed_save_keeps_the_old_file(tmp_path, image, monkeypatch):
    path = tmp_path / "a.png"
    save_png(path, image)
    before = path.read_bytes()

    def no_space(*_):
        raise OSError("no space left on device")

    monkeypatch.setattr("denseup.writing.os.replace", no_space)
    with pytest.raises(OSError, match="no space"):
        save_png(path, np.zeros_like(image))
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_errors_name_the_argument(image, alphas, labels):
    with pytest.raises(ValueError, match=r"image must be a uint8 numpy.ndarray \[H, W, 3\] .* got float64"):
        matting_panel(image / 255, *alphas)
    with pytest.raises(ValueError, match=r"prediction must be a uint8 numpy.ndarray, got float32"):
        matting_panel(image, alphas[0], alphas[1].astype(np.float32), alphas[2])
    with pytest.raises(ValueError, match=r"trimap must have the image's size \[60, 90\], got \[59, 90\]"):
        matting_panel(image, alphas[0][1:], *alphas[1:])
    with pytest.raises(ValueError, match=r"label must be a numpy.ndarray of integers, got float64"):
        segmentation_panel(image, labels[0] / 1, labels[1])
    with pytest.raises(ValueError, match=r"prediction must hold labels in 0\.\.255, got -1\.\.2"):
        segmentation_panel(image, labels[0], labels[1] - 1)
    with pytest.raises(ValueError, match="class_names must name every label, got 2 names and the label 3"):
        segmentation_panel(image, *labels, class_names=["a", "b"])
    with pytest.raises(ValueError, match=r"num_classes must be in 1\.\.256, got 0"):
        palette(0)
    with pytest.raises(ValueError, match="at least one panel"):
        grid([])
    with pytest.raises(ValueError, match=r"panels\[1\] must be a uint8"):
        grid([image, alphas[0]])
    with pytest.raises(ValueError, match=r"rgb must be a uint8 .* got list"):
        save_png("unused.png", [])
