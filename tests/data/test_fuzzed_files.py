"""Hundreds of broken and odd files: each gives the picture that Pillow sees, or is refused by name."""

import re

import numpy as np
import pytest
from data.odd_files import as_pillow_sees_it, damaged, sound_files
from PIL import Image

from denseup.data import DataError, read_alpha, read_cutout, read_image, read_label, read_trimap
from denseup.data.reading.decoding import open_picture

OTHERS = [read_alpha, read_trimap, read_cutout, lambda path: read_label(path, 255)]
PIXELS = 10**6
"""Of a picture here at most: a damaged size would else ask for half a gigabyte."""


def outcome(read, path):
    """What comes of it: an array, or None for a refusal that names the file and says what is wrong with it."""
    try:
        array = read(path)
    except DataError as error:
        text = str(error)
        assert text.startswith(f"{path}: "), text
        assert re.search(r"expected|MAX_IMAGE_PIXELS", text), text
        return None
    assert array.dtype == np.uint8
    assert array.size
    return array


def check(folder, seed):
    """Read a damaged file in all ways; whether it was read as a picture."""
    name, data = damaged(seed)
    path = folder / name
    path.write_bytes(data)
    picture = outcome(read_image, path)
    if picture is not None:
        assert np.array_equal(picture, as_pillow_sees_it(data)), f"seed {seed}"
    for read in OTHERS:
        array = outcome(read, path)
        assert array is None or (picture is not None and array.shape[:2] == picture.shape[:2]) or _deep(path), (
            f"seed {seed}"
        )
    path.unlink()
    return picture is not None


def _deep(path):
    """Numbers of 32 bits, which are a matte or a label and no photograph."""
    return open_picture(path).image.mode in ("I", "F")


@pytest.mark.parametrize("name", sound_files())
def test_whole_files(tmp_path, name):
    path = tmp_path / f"a.{name.split()[0].removeprefix('a')}"
    path.write_bytes(sound_files()[name])
    picture = outcome(read_image, path)
    refused = name == "apng" or (
        any(word in name for word in ("animated", "pages", "float", "int")) and "interlaced" not in name
    )
    assert (picture is None) == refused
    if picture is not None:
        assert np.array_equal(picture, as_pillow_sees_it(sound_files()[name]))
    for read in OTHERS:
        outcome(read, path)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("block", range(8))
def test_damaged_files(tmp_path, monkeypatch, block):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", PIXELS)
    read = sum(check(tmp_path, seed) for seed in range(block * 60, (block + 1) * 60))
    assert 5 < read < 55  # some are still pictures, most are none


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_many_more_damaged_files(tmp_path, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", PIXELS)
    for seed in range(1000, 21_000):
        check(tmp_path, seed)
