"""What is meant by an input, and what belongs to it; images, trimaps and masks of every kind."""

from pathlib import Path

import numpy as np
import pytest
from data.sample_folders import noise, save
from PIL import Image

from denseup.data import DataError
from denseup.prediction import Prompting, find_partners, find_sources
from denseup.prediction.images import as_image, as_map
from denseup.prediction.trimaps import grown_trimap, read_mask

PHOTO = noise(0, 6, 9)


def folder(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        save(root / name, Image.fromarray(PHOTO))
    return root


def names(given: str | list[str]) -> list[str]:
    return [source.name for source in find_sources(given)]


def test_files_folders_and_patterns(tmp_path: Path) -> None:
    root = folder(tmp_path / "my photos", "a.png", "sub/b.jpg", "sub/c d.png", ".hidden.png")
    (root / "notes.txt").write_text("no picture")
    assert names(str(root / "a.png")) == ["a"]
    assert names(str(root)) == ["a", "sub/b", "sub/c d"]
    assert names(str(root / "*.png")) == ["a"]
    assert names(str(root / "**" / "*.png")) == ["a", "sub/c d"]
    assert names([str(root / "a.png"), str(root), "-"]) == ["a", "sub/b", "sub/c d", "stdin"]


def test_names_do_not_collide(tmp_path: Path) -> None:
    root = folder(tmp_path, "a.jpg", "b.png", "other/a.jpg", "third/A.jpg")
    found = names([str(root / "a.jpg"), str(root / "b.png"), str(root / "other/a.jpg"), str(root / "third/A.jpg")])
    assert found == ["a.jpg", "b", "a.jpg_2", "A.jpg_3"]
    save(root / "b.jpg", Image.fromarray(PHOTO))
    assert names(str(root / "b.*")) == ["b.jpg", "b.png"]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("phot.png", "there is no such file or folder. Nearest in .*: photo.png"),
        ("zzz/*.png", "no file has such a name; .* has a.txt, empty, photo.png"),
        ("*.jpg", "no file has such a name; .* has a.txt, empty, photo.png"),
        ("*.txt", r"no pictures among the 1 files \(.txt\)"),
        ("empty", "a folder without pictures; .*empty has nothing"),
    ],
)
def test_nothing_is_there(given: str, message: str, tmp_path: Path) -> None:
    folder(tmp_path, "photo.png")
    (tmp_path / "a.txt").write_text("")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match=message):
        find_sources(str(tmp_path / given))


def test_partners(tmp_path: Path) -> None:
    root = folder(tmp_path, "in/a.jpg", "in/sub/b.jpg", "in/sub/b_trimap.png", "maps/a.png", "maps/sub/b.png")
    a, b = (source for source in find_sources(str(root / "in")) if "trimap" not in source.name)
    assert find_partners(str(root / "maps"), [a, b], "trimap") == {
        a: root / "maps/a.png",
        b: root / "maps/sub/b.png",
    }
    assert find_partners(str(root / "maps/sub/*.png"), [a, b], "trimap") == {b: root / "maps/sub/b.png"}
    assert find_partners("NAME_trimap.png", [a, b], "trimap") == {b: root / "in/sub/b_trimap.png"}
    assert find_partners(str(root / "maps/a.png"), [b], "mask") == {b: root / "maps/a.png"}
    with pytest.raises(ValueError, match=r"mask=.* is one file, but there are 2 pictures"):
        find_partners(str(root / "maps/a.png"), [a, b], "mask")
    with pytest.raises(ValueError, match=r"mask=.*map: there is no such file or folder.*maps"):
        find_partners(str(root / "map"), [a, b], "mask")


def test_arrays() -> None:
    wide = PHOTO.astype(np.uint16) * 257
    rgba = np.dstack([PHOTO, PHOTO[..., :1]])
    for array in (PHOTO, rgba, wide, Image.fromarray(PHOTO), Image.fromarray(rgba)):
        assert np.array_equal(as_image(array), PHOTO)
    grey = np.repeat(PHOTO[..., :1], 3, 2)
    assert np.array_equal(as_image(PHOTO[..., 0]), grey)
    assert np.array_equal(as_image(PHOTO[..., :1]), grey)
    unit = as_image(PHOTO / 255)
    assert unit.dtype == np.float32
    assert np.abs(unit * 255 - PHOTO).max() < 1e-4


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (PHOTO.astype(float), "floats? .*0 to 1|from .* to .*, expected 0 to 1; as uint8 it is read as it stands"),
        (np.full((2, 2), np.nan), "from nan to nan, expected 0 to 1"),
        (PHOTO.astype(np.int64), "an array of int64, expected uint8, uint16, or floats"),
        (PHOTO[..., :2], r"\[6, 9, 2\], expected \[H, W\]"),
        (PHOTO[:0], r"\[0, 9, 3\], expected"),
        (None, "image is a NoneType, expected a path"),
    ],
)
def test_arrays_that_are_no_image(given: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        as_image(given)  # type: ignore[arg-type]


def test_a_pillow_image_is_turned_by_its_tag(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    path = save(tmp_path / "a.png", Image.fromarray(PHOTO), exif=exif)
    with Image.open(path) as image:
        assert np.array_equal(as_image(image), PHOTO[::-1].swapaxes(0, 1))
    assert np.array_equal(as_image(path.read_bytes()), PHOTO[::-1].swapaxes(0, 1))
    assert np.array_equal(as_image(path, apply_orientation=False), PHOTO)


@pytest.mark.parametrize("band", [0, 1, 3, 6])
def test_a_trimap_grows_from_a_mask(band: int) -> None:
    """Unknown is what has the other side within the band, by brute force."""
    mask = np.zeros((15, 17), np.uint8)
    mask[4:11, 5:14] = 255
    mask[2, 3] = 128
    rows, columns = np.mgrid[:15, :17]
    expected = np.full(mask.shape, 128, np.uint8)
    for row, column in np.ndindex(mask.shape):
        others = mask != mask[row, column]
        nearest = np.hypot(rows - row, columns - column)[others].min()
        if mask[row, column] != 128 and nearest > band:
            expected[row, column] = mask[row, column]
    assert np.array_equal(grown_trimap(mask, band), expected)


def test_a_mask_of_one_kind_has_no_edge() -> None:
    assert (grown_trimap(np.zeros((3, 4), np.uint8)) == 0).all()
    assert (grown_trimap(np.full((1, 1), 255, np.uint8)) == 255).all()


def test_masks() -> None:
    mask = np.zeros((4, 5), bool)
    mask[1:3, 2:] = True
    levels = mask * np.uint8(255)
    rgba = np.dstack([np.zeros((4, 5, 3), np.uint8), levels])
    for given in (mask, levels, mask.astype(np.uint8), mask.astype(float), Image.fromarray(rgba), levels[..., None]):
        assert np.array_equal(read_mask(as_map(given, "mask")), levels)
    with pytest.raises(ValueError, match=r"mask is int64 \[4, 5\], expected \[H, W\] of uint8"):
        as_map(mask.astype(int), "mask")
    with pytest.raises(DataError, match="not colours"):
        read_mask(as_map(Image.fromarray(noise(0, 4, 5)), "mask"))


def test_a_band_that_is_none() -> None:
    with pytest.raises(ValueError, match="band is -1, expected an integer of at least 0"):
        Prompting(band=-1)
