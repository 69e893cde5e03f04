import struct
import zlib

import cv2
import numpy as np
import pytest
from data.sample_folders import disc, noise, write

from denseup.data import DataError, read_alpha, read_cutout, read_image, read_label, read_trimap


def palette_png(path, indices, palette, bits=8, colour_type=3):
    """An indexed PNG (or a grey one, of colour type 0) of a given depth, byte by byte."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", indices.shape[1], indices.shape[0], bits, colour_type, 0, 0, 0)
    planes = np.unpackbits(indices.astype(np.uint8)[..., None], axis=2)[..., 8 - bits :]
    rows = b"".join(b"\0" + row.tobytes() for row in np.packbits(planes.reshape(len(indices), -1), axis=1))
    parts = [chunk(b"IHDR", header)]
    parts += [chunk(b"PLTE", np.asarray(palette, np.uint8).tobytes())] if colour_type == 3 else []
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n" + b"".join([*parts, chunk(b"IDAT", zlib.compress(rows)), chunk(b"IEND", b"")])
    )
    return path


def test_image_is_rgb(tmp_path):
    image = noise(0)
    assert np.array_equal(read_image(write(tmp_path / "a.png", image)), image)


@pytest.mark.parametrize("content", [b"", b"not an image"])
def test_unreadable_image(tmp_path, content):
    (tmp_path / "broken.png").write_bytes(content)
    with pytest.raises(DataError, match=r"broken\.png: \d+ bytes that are not a readable image; expected one of png"):
        read_image(tmp_path / "broken.png")


@pytest.mark.parametrize("suffix", [".jpg", ".png"])
def test_cut_short_file_is_an_error(tmp_path, suffix):
    path = write(tmp_path / f"a{suffix}", noise(0, 200, 200))
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])
    with pytest.raises(DataError, match=rf"a\{suffix}: the file stops after .* before its end mark"):
        read_image(path)


def test_jpeg_end_mark_is_looked_for_in_the_right_place(tmp_path):
    path = write(tmp_path / "a.jpg", noise(0))
    data = path.read_bytes()
    path.write_bytes(data + bytes(10_000))
    assert read_image(path).shape == (60, 80, 3)
    thumbnail = b"\xff\xd8" + b"\xff\xe1" + struct.pack(">H", 2 + len(data)) + data + data[2:-100]
    path.write_bytes(thumbnail)
    with pytest.raises(DataError, match="before its end mark"):
        read_image(path)


def test_missing_file(tmp_path):
    with pytest.raises(DataError, match=r"none\.png: cannot be read \(No such file"):
        read_image(tmp_path / "none.png")


def test_alpha_of_16_bits_three_channels_and_opaque_fourth(tmp_path):
    alpha = disc()
    wide = alpha.astype(np.uint16) * 257
    assert np.array_equal(read_alpha(write(tmp_path / "wide.png", wide)), alpha)
    assert np.array_equal(read_alpha(write(tmp_path / "grey.png", np.dstack([alpha] * 3))), alpha)
    opaque = np.dstack([alpha] * 3 + [np.full_like(alpha, 255)])
    assert np.array_equal(read_alpha(write(tmp_path / "four.png", opaque)), alpha)


def test_coloured_alpha_is_an_error(tmp_path):
    with pytest.raises(DataError, match=r"c\.png: found 3 channel\(s\) of uint8; expected a grey alpha"):
        read_alpha(write(tmp_path / "c.png", noise(0)))


def test_cutout_from_two_files_or_one(tmp_path):
    rgba = np.dstack([noise(0), disc()])
    one = write(tmp_path / "one.png", rgba)
    fg, alpha = write(tmp_path / "fg.png", rgba[..., :3].copy()), write(tmp_path / "alpha.png", rgba[..., 3].copy())
    assert np.array_equal(read_cutout(one), rgba)
    assert np.array_equal(read_cutout(fg, alpha), rgba)
    with pytest.raises(DataError, match=r"fg\.png: found 3 channel\(s\) of uint8; expected .* RGBA"):
        read_cutout(fg)


def test_size_mismatch_names_both_sizes(tmp_path):
    fg, alpha = write(tmp_path / "fg.png", noise(0)), write(tmp_path / "alpha.png", disc(30, 80))
    with pytest.raises(DataError, match=r"alpha\.png: found 30 x 80 .*expected 60 x 80, the size of .*fg\.png"):
        read_cutout(fg, alpha)


def test_trimap_levels_are_snapped(tmp_path):
    near = np.array([[0, 3, 10, 120, 127], [128, 129, 138, 250, 255]], np.uint8)
    trimap = read_trimap(write(tmp_path / "t.png", near))
    assert trimap.tolist() == [[0, 0, 0, 128, 128], [128, 128, 128, 255, 255]]


def test_palette_trimap(tmp_path):
    indices = np.array([[0, 1, 2], [2, 1, 0]])
    path = palette_png(tmp_path / "p.png", indices, [[0] * 3, [128] * 3, [255] * 3])
    assert read_trimap(path).tolist() == [[0, 128, 255], [255, 128, 0]]


def test_other_trimap_values_are_an_error(tmp_path):
    with pytest.raises(DataError, match=r"t\.png: found trimap values 64, 200; expected 0 .*128 .*255"):
        read_trimap(write(tmp_path / "t.png", np.array([[0, 64, 200, 255]], np.uint8)))


def test_label_out_of_range(tmp_path):
    path = write(tmp_path / "l.png", np.array([[0, 1, 7, 9, 255]], np.uint8))
    with pytest.raises(DataError, match=r"l\.png: found labels 7, 9; expected 0\.\.2 \(num_classes=3\) or 255"):
        read_label(path, 3)
    assert read_label(path, 10).tolist() == [[0, 1, 7, 9, 255]]


def test_label_mappings(tmp_path):
    path = write(tmp_path / "l.png", np.array([[0, 1, 2, 3, 255]], np.uint8))
    assert read_label(path, 3, reduce_zero_label=True).tolist() == [[255, 0, 1, 2, 255]]
    assert read_label(path, 3, ignore_labels=(3,)).tolist() == [[0, 1, 2, 255, 255]]


def test_palette_label_gives_indices(tmp_path):
    indices = np.array([[0, 1, 2], [255, 1, 0]])
    palette = np.zeros((256, 3), int)
    palette[[1, 2, 255]] = [[128, 0, 0], [0, 128, 0], [224, 224, 192]]
    path = palette_png(tmp_path / "p.png", indices, palette)
    assert read_label(path, 3).tolist() == indices.tolist()


def test_coloured_label_is_an_error(tmp_path):
    with pytest.raises(DataError, match=r"c\.png: found 3 channel\(s\) of uint8; expected class indices"):
        read_label(write(tmp_path / "c.png", noise(0)), 3)


def test_opencv_runs_on_one_thread():
    assert cv2.getNumThreads() == 1
