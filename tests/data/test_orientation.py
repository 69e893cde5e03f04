"""One rule for orientation tags: every file is turned by its own."""

import numpy as np
import pytest
from data.sample_folders import noise, save
from PIL import Image, ImageOps

from denseup.data import (
    DataError,
    MattingFolder,
    SegmentationFolder,
    check_datasets,
    read_alpha,
    read_cutout,
    read_image,
    read_label,
    read_trimap,
)

FORMATS = [".jpg", ".png", ".webp", ".tif"]
LEVELS = np.array([0, 128, 255], np.uint8)[np.random.default_rng(0).integers(0, 3, (6, 9))]


def tagged(path, array, orientation, **options):
    """An image file with an orientation tag."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    return save(path, Image.fromarray(array), exif=exif, **options)


def expected(array, orientation):
    """What Pillow makes of an array with a tag."""
    image = Image.fromarray(array)
    image.getexif()[0x0112] = orientation
    return np.asarray(ImageOps.exif_transpose(image))


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", FORMATS)
def test_photographs(tmp_path, suffix, orientation):
    path = tagged(tmp_path / f"a{suffix}", noise(0, 6, 9), orientation)
    stored = read_image(path, apply_orientation=False)
    assert stored.shape == (6, 9, 3)
    assert np.array_equal(read_image(path), expected(stored, orientation))
    assert read_image(path).flags.writeable


@pytest.mark.parametrize("orientation", range(2, 9))
@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_mattes_trimaps_labels_and_cutouts(tmp_path, suffix, orientation):
    path = tagged(tmp_path / f"a{suffix}", LEVELS, orientation)
    upright = expected(LEVELS, orientation)
    options = {"label_values": {128: 1, 255: 2}}
    assert np.array_equal(read_alpha(path), upright)
    assert np.array_equal(read_trimap(path), upright)
    assert np.array_equal(read_label(path, 3, **options), np.searchsorted([0, 128, 255], upright))
    for read in (read_alpha, read_trimap):
        assert np.array_equal(read(path, apply_orientation=False), LEVELS)
    rgba = np.dstack([noise(0, 6, 9), LEVELS])
    assert np.array_equal(read_cutout(tagged(tmp_path / f"c{suffix}", rgba, orientation)), expected(rgba, orientation))
    two = read_cutout(tagged(tmp_path / f"f{suffix}", noise(0, 6, 9), orientation), path)
    assert np.array_equal(two[..., 3], upright)


def test_deep_mattes(tmp_path):
    image = Image.fromarray(LEVELS.astype(np.uint16) * 257)
    exif = Image.Exif()
    exif[0x0112] = 6
    for suffix in (".png", ".tif"):
        assert np.array_equal(read_alpha(save(tmp_path / f"a{suffix}", image, exif=exif)), expected(LEVELS, 6))


def labelled(root, image_tag, label_tag, label=LEVELS):
    """A segmentation folder of one image and one label with their tags."""
    tagged(root / "images" / "a.jpg", noise(0, 6, 9), image_tag)
    tagged(root / "labels" / "a.png", (label > 128).astype(np.uint8), label_tag)
    return root


def test_both_tagged_or_the_label_turned_already(tmp_path):
    both = SegmentationFolder(labelled(tmp_path / "both", 6, 6), 2)
    upright = SegmentationFolder(labelled(tmp_path / "upright", 6, 1, expected(LEVELS, 6)), 2)
    for dataset in (both, upright):
        assert dataset[0]["image"].shape == (3, 9, 6)
        assert np.array_equal(dataset[0]["label"].numpy(), expected((LEVELS > 128).astype(np.uint8), 6))
        assert check_datasets({"": dataset}).warnings == []


def test_label_as_stored_beside_a_turned_image(tmp_path):
    labelled(tmp_path, 6, 1)
    with pytest.raises(
        DataError, match=r"found 6 x 9 .*expected 9 x 6.* tags: a\.jpg 6, a\.png none.*apply_orientation=false"
    ):
        SegmentationFolder(tmp_path, 2)[0]
    stored = SegmentationFolder(tmp_path, 2, apply_orientation=False)
    assert stored[0]["image"].shape == (3, 6, 9)
    assert check_datasets({"": stored}).problems == []


@pytest.mark.parametrize(("image", "label"), [(3, 1), (1, 4), (2, 3)])
def test_tags_that_sizes_cannot_tell(tmp_path, image, label):
    (line,) = check_datasets({"train": SegmentationFolder(labelled(tmp_path, image, label), 2)}).warnings
    assert line.startswith("train: samples with an orientation tag that the partner has not")
    assert "together: 1 of 1, such as " in line


def test_square_photographs_are_told_of(tmp_path):
    tagged(tmp_path / "image" / "a.jpg", noise(0, 16, 16), 8)
    alpha = np.tile(np.arange(16, dtype=np.uint8) * 17, (16, 1))
    save(tmp_path / "alpha" / "a.png", Image.fromarray(alpha))
    (line,) = check_datasets({"val": MattingFolder(tmp_path)}).warnings
    assert f"together: 1 of 1, such as {tmp_path / 'image' / 'a.jpg'}. Each file" in line
    assert check_datasets({"val": MattingFolder(tmp_path, apply_orientation=False)}).warnings == []


def test_damaged_or_senseless_tags_turn_nothing(tmp_path):
    stored = noise(0, 6, 9)
    for name, exif in (
        ("zero.png", b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\0\0\0\0\0\0\0"),
        ("bad.png", b"xy"),
    ):
        assert np.array_equal(read_image(save(tmp_path / name, Image.fromarray(stored), exif=exif)), stored)
