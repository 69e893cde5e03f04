"""VOC 2012 with SBD's images: VOC's labels where there are both, whole files only, and the split that results."""

import contextlib

import numpy as np
import pytest
from configuring import configure
from data import published_layouts
from data.published_layouts import HEIGHT, WIDTH, image
from PIL import Image
from scipy.io import savemat
from scipy.sparse import csc_matrix

from denseup.cli import build_voc2012_aug
from denseup.cli.build import build_data
from denseup.cli.config import plain
from denseup.data.reading.decoding import DataError
from denseup.data.reading.sbd import read_sbd_label

ADDED = ["2009_000001", "2010_000002"]
SHARED, VALIDATION = "2008_000000", "2007_000033"


def segmentation(seed):
    return np.random.default_rng(seed).integers(0, 21, (HEIGHT, WIDTH), np.uint8)


def write_mat(path, values, **options):
    """As the release has it: a struct of borders, labels and the classes that occur."""
    path.parent.mkdir(parents=True, exist_ok=True)
    borders = np.empty((20, 1), object)
    borders[:, 0] = [csc_matrix((HEIGHT, WIDTH), dtype=bool)] * 20
    struct = {"Boundaries": borders, "Segmentation": values, "CategoriesPresent": np.unique(values)[:, None]}
    savemat(path, {"GTcls": struct}, do_compression=True, **options)
    return path


@pytest.fixture
def releases(tmp_path):
    """VOC's folder and SBD's, which share a training and a validation image."""
    root, sbd = tmp_path / "VOC2012", tmp_path / "dataset"
    published_layouts.voc2012(root)
    names = [*ADDED, SHARED, VALIDATION]
    for seed, name in enumerate(names):
        write_mat(sbd / "cls" / f"{name}.mat", segmentation(seed))
    for number, name in enumerate(ADDED):
        image(root / "JPEGImages" / f"{name}.jpg", number)
    (sbd / "train.txt").write_text(f"{ADDED[0]}\n{VALIDATION}\n")
    (sbd / "val.txt").write_text(f"{ADDED[1]}\n{SHARED}\n")
    return root, sbd


def run(releases, *words):
    said = [f"root='{releases[0]}'", f"sbd='{releases[1]}'", "num_workers=0"]
    return build_voc2012_aug.run(plain(build_voc2012_aug.parse([*said, *words])))


def stored(root, name, folder="SegmentationClassAug"):
    return np.array(Image.open(root / folder / f"{name}.png"))


def test_labels_of_both_and_the_split(releases, capsys):
    root, _ = releases
    assert run(releases) == 0
    said = capsys.readouterr().err
    assert "7 labels: 7 built, 0 kept, 0 failed" in said
    assert "5 images for training" in said
    for seed, name in enumerate(ADDED):
        assert np.array_equal(stored(root, name), segmentation(seed))
    for name in (SHARED, VALIDATION, "2008_000001"):  # VOC's own, borders of 255 included
        assert np.array_equal(stored(root, name), stored(root, name, "SegmentationClass"))
    training = ["2008_000000", "2008_000001", "2008_000002", *ADDED]
    assert (root / "ImageSets/Segmentation/train_aug.txt").read_text().splitlines() == training
    data = build_data(configure("task=segmentation", "data=voc2012_aug", f"data.root='{root}'", "data.crop_size=16"))
    assert data.dataset("train").names == training
    assert data.dataset("val").names == [VALIDATION, "2011_003256"]


def test_whole_labels_are_kept_and_others_made_anew(releases, capsys):
    root, _ = releases
    run(releases)
    places = {name: root / "SegmentationClassAug" / f"{name}.png" for name in (*ADDED, SHARED)}
    whole = {name: place.read_bytes() for name, place in places.items()}
    places[ADDED[0]].write_bytes(whole[ADDED[0]][:-30])
    Image.fromarray(segmentation(9)).save(places[ADDED[1]])
    places[SHARED].write_bytes(b"")
    assert run(releases, "num_workers=2") == 0
    assert "3 built, 4 kept" in capsys.readouterr().err
    assert {name: place.read_bytes() for name, place in places.items()} == whole


def test_a_broken_label_leaves_no_list(releases, capsys):
    root, sbd = releases
    path = sbd / "cls" / f"{ADDED[0]}.mat"
    path.write_bytes(path.read_bytes()[:-200])
    assert run(releases) == 1
    assert f"failed: {ADDED[0]}.png: {path}: found no GTcls.Segmentation in it" in capsys.readouterr().err
    assert not (root / "SegmentationClassAug" / f"{ADDED[0]}.png").exists()
    assert not (root / "ImageSets/Segmentation/train_aug.txt").exists()


def test_what_is_missing_is_named_before_anything_is_made(releases):
    root, sbd = releases
    (sbd / "cls" / f"{ADDED[1]}.mat").unlink()
    (root / "JPEGImages" / f"{ADDED[0]}.jpg").unlink()
    with pytest.raises(ValueError, match=rf"found no file .*{ADDED[1]}\.mat, .*{ADDED[0]}\.jpg; the lists of VOC and"):
        run(releases)
    assert not (root / "SegmentationClassAug").exists()
    (sbd / "train.txt").unlink()
    with pytest.raises(ValueError, match=r"train\.txt: cannot be read"):
        run(releases)


@pytest.mark.parametrize("kind", [np.uint8, np.float64, np.int16])
def test_numbers_of_any_kind(tmp_path, kind):
    path = write_mat(tmp_path / "a.mat", segmentation(0).astype(kind))
    assert np.array_equal(read_sbd_label(path), segmentation(0))
    assert read_sbd_label(path).dtype == np.uint8


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (np.full((2, 3), 21, np.uint8), "found the label 21 in GTcls.Segmentation; expected 0..20"),
        (np.full((2, 3), np.nan), "found the label nan"),
        (np.full((2, 3), -1, np.int8), "found the label -1"),
        (np.full((2, 3), 2.5), "found the label 2.5"),
        (np.zeros((2, 3, 4)), r"found GTcls.Segmentation of float64 \[2, 3, 4\]; expected numbers \[H, W\]"),
        (np.zeros((0, 0)), r"found GTcls.Segmentation of float64 \[0, 0\]"),
        ("text", "found GTcls.Segmentation of <U"),
    ],
)
def test_labels_that_are_none(tmp_path, values, message):
    savemat(tmp_path / "a.mat", {"GTcls": {"Segmentation": values}})
    with pytest.raises(DataError, match=message):
        read_sbd_label(tmp_path / "a.mat")


def test_files_that_are_none(tmp_path):
    path = tmp_path / "a.mat"
    savemat(path, {"GTinst": {"Segmentation": segmentation(0)}})
    whole = path.read_bytes()
    for data in (b"", b"MATLAB", bytes(200), whole, whole[:150], b"\x89HDF\r\n\x1a\n" + bytes(200)):
        path.write_bytes(data)
        with pytest.raises(DataError, match=r"a\.mat: .*"):
            read_sbd_label(path)
    with pytest.raises(DataError, match=r"b\.mat"):
        read_sbd_label(tmp_path / "b.mat")


def test_flipped_bits_are_a_label_or_an_error(tmp_path):
    path = write_mat(tmp_path / "a.mat", segmentation(0))
    whole, random = path.read_bytes(), np.random.default_rng(0)
    for _ in range(60):
        data = bytearray(whole)
        data[random.integers(len(data))] ^= 1 << random.integers(8)
        path.write_bytes(data)
        with contextlib.suppress(DataError):
            assert read_sbd_label(path).max() < 21
