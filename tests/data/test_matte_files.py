"""Mattes, trimaps and cut-outs whose values may mean more than one thing."""

import numpy as np
import pytest
from data.sample_folders import disc, noise, save, write
from data.test_io import palette_png
from PIL import Image

from denseup.data import DataError, read_alpha, read_cutout, read_image, read_trimap

CODES = np.array([[0, 1, 2], [2, 1, 0]], np.uint8)
TRIMAP = np.array([[0, 128, 255], [255, 128, 0]], np.uint8)
CODED = {0: 0, 1: 128, 2: 255}


@pytest.mark.parametrize("codes", [[0, 1, 2], [0, 1], [0, 1, 255], [1, 2], [2], [0, 1, 2, 3]])
def test_coded_trimaps_are_refused(tmp_path, codes):
    path = write(tmp_path / "t.png", np.array([codes], np.uint8))
    with pytest.raises(
        DataError, match=r"t\.png: found trimap values .*'data\.trimap_values=\{\d: 0, \d+: 128, \d+: 255\}'"
    ):
        read_trimap(path)


@pytest.mark.parametrize("levels", [[0], [0, 255], [2, 127, 254], [0, 128, 129], [0, 254, 255]])
def test_levels_that_are_clear_are_not(tmp_path, levels):
    snapped = [min((0, 128, 255), key=lambda level, v=v: abs(level - v)) for v in levels]
    assert read_trimap(write(tmp_path / "t.png", np.array([levels], np.uint8))).tolist() == [snapped]


def test_trimap_values(tmp_path):
    few = palette_png(tmp_path / "two.png", CODES, [[0] * 3], bits=2, colour_type=0)
    coloured = palette_png(tmp_path / "p.png", CODES, [[0, 0, 0], [128, 0, 0], [0, 128, 0]])
    with pytest.raises(DataError, match=r"two\.png: found trimap values 85, 170 \(stored as 0, 1, 2\)"):
        read_trimap(few)
    with pytest.raises(DataError, match=r"p\.png: found 3 channel\(s\) of uint8; expected a grey trimap"):
        read_trimap(coloured)
    for path in (write(tmp_path / "t.png", CODES), few, coloured):
        assert read_trimap(path, trimap_values=CODED).tolist() == TRIMAP.tolist()
    with pytest.raises(DataError, match=r"t\.png: found trimap values 2; expected 0, 128, 255 or \{1: 128\}"):
        read_trimap(tmp_path / "t.png", trimap_values={1: 128})
    with pytest.raises(ValueError, match=r"trimap_values=\{1: 127\}: found the levels 127"):
        read_trimap(tmp_path / "t.png", trimap_values={1: 127})


def test_deep_trimaps(tmp_path):
    deep = np.array([[0, 32768, 65535], [65535, 32896, 0]], np.uint16)
    for name, array in (("full.png", deep), ("bytes.png", TRIMAP.astype(np.uint16))):
        assert read_trimap(write(tmp_path / name, array)).tolist() == TRIMAP.tolist()
    for name, array in (("unit.tif", np.array([[0, 0.5, 1], [1, 0.5, 0]])), ("level.tif", TRIMAP)):
        save(tmp_path / name, Image.fromarray(array.astype(np.float32)))
        assert read_trimap(tmp_path / name).tolist() == TRIMAP.tolist()
    with pytest.raises(DataError, match=r"codes\.png: found trimap values 0, 1, 2"):
        read_trimap(write(tmp_path / "codes.png", CODES.astype(np.uint16)))


def test_coded_mattes(tmp_path):
    mask = (disc() > 128).astype(np.uint8)
    path = write(tmp_path / "a.png", mask)
    with pytest.raises(DataError, match=r"a\.png: found no alpha value above 1, in uint8, .*data\.alpha_max=1"):
        read_alpha(path)
    assert np.array_equal(read_alpha(path, alpha_max=1), mask * 255)
    assert read_alpha(path, alpha_max=255).max() == 1
    with pytest.raises(
        DataError, match=r"b\.png: found alpha values 0 to 255; expected 0 .* to 1 .*data\.alpha_max=255"
    ):
        read_alpha(write(tmp_path / "b.png", disc()), alpha_max=1)
    with pytest.raises(ValueError, match="alpha_max=0: expected the file value above 0"):
        read_alpha(path, alpha_max=0)
    assert read_alpha(write(tmp_path / "none.png", mask * 0)).max() == 0


def test_mattes_of_one_bit(tmp_path):
    mask = disc() > 128
    assert np.array_equal(read_alpha(save(tmp_path / "a.png", Image.fromarray(mask))), mask * 255)
    assert np.array_equal(read_alpha(tmp_path / "a.png", alpha_max=1), mask * 255)


def test_deep_mattes(tmp_path):
    shallow = disc().astype(np.uint16)
    path = write(tmp_path / "a.png", shallow)
    with pytest.raises(DataError, match=r"a\.png: found no alpha value above 255, in uint16, .*data\.alpha_max=255"):
        read_alpha(path)
    assert np.array_equal(read_alpha(path, alpha_max=255), disc())
    values = np.random.default_rng(0).integers(0, 65536, (9, 8), np.uint16)
    expected = np.rint(values / 257)
    for name in ("grey.tif", "grey.png"):
        assert np.array_equal(read_alpha(write(tmp_path / name, values)), expected)
        assert np.array_equal(read_alpha(write(tmp_path / f"rgb{name}", np.dstack([values] * 3))), expected)


def test_float_mattes(tmp_path):
    alpha = (disc() / 255).astype(np.float32)
    assert np.array_equal(read_alpha(save(tmp_path / "a.tif", Image.fromarray(alpha))), disc())
    save(tmp_path / "b.tif", Image.fromarray(disc().astype(np.float32)))
    with pytest.raises(DataError, match=r"b\.tif: found alpha values 0 to 255; expected .* to 1 .*data\.alpha_max=255"):
        read_alpha(tmp_path / "b.tif")
    assert np.array_equal(read_alpha(tmp_path / "b.tif", alpha_max=255), disc())
    alpha[0, 0] = np.nan
    with pytest.raises(DataError, match=r"a\.tif: found NaN"):
        read_alpha(save(tmp_path / "a.tif", Image.fromarray(alpha)))


def test_mattes_with_an_alpha_channel(tmp_path):
    alpha, opaque = disc(), np.full_like(disc(), 255)
    for name, channels in (("la", [alpha, opaque]), ("same", [alpha] * 4), ("rgba", [alpha] * 3 + [opaque])):
        assert np.array_equal(read_alpha(save(tmp_path / f"{name}.png", Image.fromarray(np.dstack(channels)))), alpha)
    save(tmp_path / "x.png", Image.fromarray(np.dstack([opaque] * 3 + [alpha])))
    with pytest.raises(DataError, match=r"x\.png: found 4 channel\(s\) .*neither opaque nor equal .*a grey alpha"):
        read_alpha(tmp_path / "x.png")


def test_mattes_with_transparent_entries(tmp_path):
    white = Image.fromarray(CODES).convert("P")
    white.putpalette([255] * 9)
    path = save(tmp_path / "p.png", white, transparency=bytes([0, 128, 255]))
    for read in (read_alpha, read_trimap):
        with pytest.raises(DataError, match=r"p\.png: .*an alpha channel that is neither opaque nor equal"):
            read(path)
    assert read_trimap(path, trimap_values=CODED).tolist() == TRIMAP.tolist()
    assert read_image(path).min() == 255


def test_grey_mattes_in_other_colour_spaces(tmp_path):
    alpha = np.full((16, 16), 255, np.uint8)
    alpha[:, :8] = 0
    palette = Image.fromarray(alpha).convert("P")
    assert np.array_equal(read_alpha(save(tmp_path / "p.png", palette)), alpha)
    cmyk = Image.merge("CMYK", [Image.new("L", (16, 16))] * 3 + [Image.fromarray(255 - alpha)])
    assert np.array_equal(read_alpha(save(tmp_path / "c.jpg", cmyk, quality=100)), alpha)


def test_cutouts_of_other_kinds(tmp_path):
    alpha = np.where(disc() > 128, 255, 0).astype(np.uint8)
    palette = Image.fromarray((alpha > 0).astype(np.uint8)).convert("P")
    palette.putpalette([9, 8, 7, 200, 100, 50])
    cutout = read_cutout(save(tmp_path / "p.png", palette, transparency=0))
    assert np.array_equal(cutout[..., 3], alpha)
    assert cutout[30, 40].tolist() == [200, 100, 50, 255]
    save(tmp_path / "one.png", Image.fromarray(np.dstack([noise(0), alpha // 255])))
    with pytest.raises(DataError, match=r"one\.png: found no alpha value above 1"):
        read_cutout(tmp_path / "one.png")
    assert np.array_equal(read_cutout(tmp_path / "one.png", alpha_max=1)[..., 3], alpha)
