"""The values stored in label files, of every kind that tools write."""

import numpy as np
import pytest
from data.sample_folders import noise, save, write
from data.test_io import palette_png
from PIL import Image

from denseup.data import DataError, read_label

INDICES = np.array([[0, 1, 2, 3], [3, 2, 1, 0], [1, 1, 2, 0]], np.uint8)
REPEATED = [[0, 0, 0], [200, 0, 0], [0, 0, 0], [200, 0, 0]]


def packed_png(path, values, bits):
    """A grey PNG of few bits, which neither Pillow nor OpenCV writes."""
    palette_png(path, values, [[0] * 3], bits=bits, colour_type=0)
    return path


def palette_image(indices, colours):
    image = Image.fromarray(indices).convert("P")
    image.putpalette([part for colour in colours for part in colour])
    return image


def test_palette_that_repeats_a_colour(tmp_path):
    assert read_label(palette_png(tmp_path / "p.png", INDICES, REPEATED), 4).tolist() == INDICES.tolist()
    void = np.where(INDICES == 3, 255, INDICES)
    black = np.zeros((256, 3), int)
    assert read_label(palette_png(tmp_path / "v.png", void, black), 3).tolist() == void.tolist()


@pytest.mark.parametrize("suffix", [".png", ".tif", ".bmp", ".gif"])
def test_palettes_of_other_formats(tmp_path, suffix):
    path = save(tmp_path / f"p{suffix}", palette_image(INDICES, [*REPEATED[:3], [7, 7, 7]]))
    assert read_label(path, 4).tolist() == INDICES.tolist()


def test_transparency_of_a_palette_alters_no_index(tmp_path):
    path = save(tmp_path / "p.png", palette_image(INDICES, REPEATED), transparency=bytes([0, 255, 7, 255]))
    assert read_label(path, 4).tolist() == INDICES.tolist()


def test_transparency_of_a_level_alters_no_value(tmp_path):
    path = save(tmp_path / "l.png", Image.fromarray(INDICES), transparency=1)
    assert read_label(path, 4).tolist() == INDICES.tolist()


@pytest.mark.parametrize("bits", [1, 2, 4])
@pytest.mark.parametrize("kind", ["grey", "palette"])
def test_values_of_few_bits(tmp_path, bits, kind):
    values = INDICES % (1 << bits) if bits < 4 else INDICES * 5
    path = tmp_path / "l.png"
    if kind == "grey":
        packed_png(path, values, bits)
    else:
        palette_png(path, values, [[9 * (i // 2)] * 3 for i in range(1 << bits)], bits=bits)
    assert read_label(path, 16).tolist() == values.tolist()


@pytest.mark.parametrize("suffix", [".png", ".tif", ".bmp"])
def test_masks_of_one_bit_hold_0_and_1(tmp_path, suffix):
    path = save(tmp_path / f"m{suffix}", Image.fromarray(INDICES > 1))
    assert read_label(path, 2).tolist() == (INDICES > 1).astype(int).tolist()


def test_deep_labels_and_labels_with_an_opaque_alpha_channel(tmp_path):
    deep = INDICES.astype(np.uint16) * 300
    assert read_label(write(tmp_path / "deep.png", INDICES.astype(np.uint16)), 4).tolist() == INDICES.tolist()
    assert read_label(write(tmp_path / "opaque.png", np.dstack([INDICES] * 3 + [INDICES * 0 + 255])), 4).max() == 3
    values = {300: 1, 600: 2, 900: 255}
    assert read_label(write(tmp_path / "d.tif", deep), 3, label_values=values).tolist()[0] == [0, 1, 2, 255]
    save(tmp_path / "int.tif", Image.fromarray(INDICES.astype(np.int32)))
    assert read_label(tmp_path / "int.tif", 4).tolist() == INDICES.tolist()


def test_what_holds_no_indices_is_refused(tmp_path):
    save(tmp_path / "f.tif", Image.fromarray(INDICES.astype(np.float32)))
    with pytest.raises(DataError, match=r"f\.tif: found values of float32; expected class indices"):
        read_label(tmp_path / "f.tif", 4)
    save(tmp_path / "n.tif", Image.fromarray(INDICES.astype(np.int32) - 1))
    with pytest.raises(DataError, match=r"n\.tif: found labels -1; expected 0\.\.3"):
        read_label(tmp_path / "n.tif", 4)
    save(tmp_path / "la.png", Image.fromarray(np.dstack([INDICES, INDICES * 9])))
    with pytest.raises(DataError, match=r"la\.png: .*an alpha channel that is neither opaque nor equal"):
        read_label(tmp_path / "la.png", 4)
    with pytest.raises(DataError, match=r"c\.png: .*colours are named by label_colours=\[\[r,g,b\], \.\.\.\]"):
        read_label(write(tmp_path / "c.png", noise(0)), 4)


def test_label_values(tmp_path):
    path = write(tmp_path / "l.png", np.array([[0, 1, 85, 255]], np.uint8))
    with pytest.raises(DataError, match=r"found labels 85; .*'data\.label_values=\{85: 1\}', or by ignore_labels"):
        read_label(path, 2)
    assert read_label(path, 3, label_values={85: 2}).tolist() == [[0, 1, 2, 255]]
    assert read_label(path, 3, label_values={"85": 255, "255": 2}).tolist() == [[0, 1, 255, 2]]
    assert read_label(path, 3, label_values={85: 2}, reduce_zero_label=True).tolist() == [[255, 0, 2, 255]]


def test_label_colours(tmp_path):
    colours = [[0, 0, 0], [128, 0, 0], [224, 224, 192]]
    coloured = np.array(colours, np.uint8)[np.array([[0, 1, 2], [2, 1, 0]])]
    options = {"label_colours": colours, "ignore_labels": (2,)}
    for path in (
        write(tmp_path / "c.png", coloured),
        palette_png(tmp_path / "p.png", np.array([[2, 1, 0], [0, 1, 2]]), colours[::-1]),
    ):
        assert read_label(path, 2, **options).tolist() == [[0, 1, 255], [255, 1, 0]]
    coloured[0, 0] = (1, 2, 3)
    with pytest.raises(
        DataError, match=r"c\.png: found 1 colours that label_colours does not name, such as \[1, 2, 3\]"
    ):
        read_label(write(tmp_path / "c.png", coloured), 2, **options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"label_values": {9: 3}}, r"label_values=\{9: 3\}: found the classes 3; expected .*0\.\.2 .*or 255"),
        ({"label_values": {9: 1}, "ignore_labels": (9,)}, r"both name the file values 9"),
        ({"label_colours": [[0, 0, 256]]}, r"expected triples \[r, g, b\] of 0\.\.255"),
        ({"label_colours": [[1, 1, 1], [1, 1, 1]]}, "expected a colour once only"),
    ],
)
def test_wrong_options(tmp_path, options, message):
    with pytest.raises(ValueError, match=message):
        read_label(write(tmp_path / "l.png", INDICES), 3, **options)
