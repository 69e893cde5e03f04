"""Files that are cut short, too large, animations, or no picture: refused by name."""

import io

import numpy as np
import pytest
from data.sample_folders import noise, save, write
from data.test_io import palette_png
from PIL import Image, ImageFile

from denseup.data import DataError, check_dataset, read_alpha, read_image, read_label, read_trimap
from denseup.data.datamodules import SegmentationFolderData

READERS = [read_image, read_alpha, read_trimap, lambda path: read_label(path, 255)]
OPTIONS = {"tif": {"compression": "tiff_lzw"}, "jpg": {"progressive": True}}


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "bmp", "tif", "gif"])
@pytest.mark.parametrize("options", [True, False])
def test_cut_files(tmp_path, suffix, options):
    path = save(tmp_path / f"a.{suffix}", Image.fromarray(noise(0)), **(OPTIONS.get(suffix, {}) if options else {}))
    whole = path.read_bytes()
    for share in (0.02, 0.3, 0.6, 0.95):
        path.write_bytes(whole[: int(len(whole) * share)])
        for read in READERS:
            with pytest.raises(DataError, match=rf"a\.{suffix}: .*expected"):
                read(path)


def test_cut_files_where_another_library_has_told_pillow_to_take_them(tmp_path, monkeypatch):
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    path = write(tmp_path / "a.jpg", noise(0))
    path.write_bytes(path.read_bytes()[:-1000])
    with pytest.raises(DataError, match=r"a\.jpg: the file stops after"):
        read_image(path)
    assert ImageFile.LOAD_TRUNCATED_IMAGES


def test_a_picture_too_large_is_refused_before_it_is_decoded(tmp_path, monkeypatch):
    path = palette_png(tmp_path / "bomb.png", np.zeros((40, 50), np.uint8), [[0] * 3])
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 900)
    for read in READERS:
        with pytest.raises(DataError, match=r"bomb\.png: Image size \(2000 pixels\) exceeds limit of 1800 pixels"):
            read(path)


@pytest.mark.parametrize("suffix", ["gif", "png", "webp", "tif"])
def test_animations_and_pages_are_refused(tmp_path, suffix):
    frames = [Image.fromarray(noise(seed, 8, 8)) for seed in range(3)]
    path = save(tmp_path / f"a.{suffix}", frames[0], save_all=True, append_images=frames[1:])
    for read in READERS:
        with pytest.raises(DataError, match=rf"a\.{suffix}: found 3 frames .*expected one picture a file"):
            read(path)


def test_second_pictures_of_cameras_and_reduced_copies_do_not_count(tmp_path):
    large, small = Image.fromarray(noise(0, 16, 16)), Image.fromarray(noise(0, 8, 8))
    mpo = io.BytesIO()
    large.save(mpo, "MPO", save_all=True, append_images=[small], quality=95)
    (tmp_path / "a.jpg").write_bytes(mpo.getvalue())
    assert read_image(tmp_path / "a.jpg").shape == (16, 16, 3)
    large, small = large.copy(), small.copy()
    small.encoderinfo = {"tiffinfo": {254: 1}}
    save(tmp_path / "a.tif", large, save_all=True, append_images=[small])
    with Image.open(tmp_path / "a.tif") as pages:
        assert pages.n_frames == 2
    assert np.array_equal(read_image(tmp_path / "a.tif"), noise(0, 16, 16))


def test_photographs_of_other_kinds(tmp_path):
    image = noise(0, 16, 16)
    grey = Image.fromarray(image[..., 0])
    deep = image[..., 0].astype(np.uint16) * 256 + 255
    cmyk = save(tmp_path / "cmyk.tif", Image.fromarray(image).convert("CMYK"))
    assert np.abs(read_image(cmyk).astype(int) - image).max() <= 1
    for path in (save(tmp_path / "grey.gif", grey), save(tmp_path / "deep.png", Image.fromarray(deep))):
        assert np.array_equal(read_image(path), np.dstack([image[..., 0]] * 3))
    with pytest.raises(DataError, match=r"f\.tif: found 1 channel\(s\) of float32; expected colours"):
        read_image(save(tmp_path / "f.tif", Image.fromarray(image[..., 0].astype(np.float32))))


def test_a_check_lists_broken_files_of_all_kinds(tmp_path):
    for name, content in (("a", b""), ("b", b"GIF89a"), ("c", b"\x89PNG\r\n\x1a\n")):
        save(tmp_path / "images" / f"{name}.png", Image.fromarray(noise(0)))
        (tmp_path / "labels").mkdir(exist_ok=True)
        (tmp_path / "labels" / f"{name}.png").write_bytes(content)
    problems = check_dataset(SegmentationFolderData(str(tmp_path), 3).dataset("val"))
    assert [problem.split(":")[0][-5:] for problem in problems] == ["a.png", "b.png", "c.png"]
