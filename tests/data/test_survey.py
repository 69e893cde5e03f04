"""What files that are each sound show together."""

import re

import numpy as np
import pytest
from data.sample_folders import disc, noise, write
from omegaconf import OmegaConf

from denseup.data import CompositeDataset, MattingFolder, SegmentationFolder, check_dataset, check_datasets

HARD = np.where(disc(12, 16) > 128, 255, 0).astype(np.uint8)


def labels(root, *values, suffix=".png"):
    """A folder with a label map for each of the values: an array, or the values of its left and right half."""
    for number, value in enumerate(values):
        write(root / "images" / f"im{number}.png", noise(number, 8, 8))
        write(root / "labels" / f"im{number}{suffix}", np.repeat(np.array([value], np.uint8), 8, 0).repeat(4, 1))
    return root


def mattes(root, *alphas, trimaps=()):
    for number, alpha in enumerate(alphas):
        write(root / "image" / f"im{number}.png", noise(number, *alpha.shape))
        write(root / "alpha" / f"im{number}.png", alpha)
    for number, trimap in enumerate(trimaps):
        write(root / "trimap" / f"im{number}.png", trimap)
    return root


def warnings(dataset):
    """The warnings for a data set, paths shortened to their names."""
    return [re.sub(r"\S*/", "", line) for line in check_datasets({"val": dataset}).warnings]


def test_labels_of_0_and_255_for_two_classes(tmp_path):
    dataset = SegmentationFolder(labels(tmp_path, (0, 255), (0, 0)), 2)
    (problem,) = check_dataset(dataset)
    assert "found class 0 and 255 (ignored, 25 % of the pixels) alone, with num_classes=2" in problem
    assert "'data.label_values={255: 1}'" in problem
    assert "data.ignore_labels=[255]" in problem
    mapped = SegmentationFolder(tmp_path, 2, label_values=OmegaConf.create({255: 1}))
    assert mapped[0]["label"].unique().tolist() == [0, 1]
    assert (check_dataset(mapped), warnings(mapped)) == ([], [])
    said = SegmentationFolder(tmp_path, 2, ignore_labels=[255])
    assert check_dataset(said) == []
    assert warnings(said) == ["val: found no pixel of class 1 (class_1) in the 2 labels read"]


def test_one_split_may_show_that_255_is_ignored(tmp_path):
    train = SegmentationFolder(labels(tmp_path / "train", (0, 1), (1, 255)), 2)
    val = SegmentationFolder(labels(tmp_path / "val", (0, 255)), 2)
    report = check_datasets({"train": train, "val": val})
    assert report.problems == []
    (line,) = report.warnings
    assert line.startswith("val: found no pixel of class 1 (class_1) in the 1 labels read; 50 % of the pixels are 255")


def test_classes_in_no_label_and_labels_without_class(tmp_path):
    dataset = SegmentationFolder(labels(tmp_path, (0, 2), (255, 255)), 5, class_names=tuple("abcde"))
    assert warnings(dataset) == [
        "val: found no pixel of class 1 (b), 3 (d), 4 (e) in the 2 labels read",
        "val: labels without a class, every pixel 255 (ignored): 1 of 2, such as im1.png",
    ]


def test_labels_that_are_void_throughout_and_lossy_labels(tmp_path):
    void = SegmentationFolder(labels(tmp_path / "void", (255, 255), (255, 255)), 2)
    assert warnings(void) == ["val: labels without a class, every pixel 255 (ignored): 2 of 2, such as im0.png"]
    assert check_dataset(void) == []
    lossy = SegmentationFolder(labels(tmp_path / "lossy", (0, 0), suffix=".jpg"), 1)
    assert warnings(lossy) == [
        "val: labels in JPEG files, which alter values along every edge: 1 of 1, such as im0.jpg"
    ]


@pytest.mark.parametrize("trimap", [None, "trimap"])
def test_images_without_unknown_region(tmp_path, trimap):
    known, full = np.full_like(HARD, 255), disc(12, 16)
    mattes(tmp_path, full, known, trimaps=[np.full_like(HARD, 128), known])
    assert warnings(MattingFolder(tmp_path, trimap=trimap)) == [
        "val: images without an unknown region, which count for nothing: 1 of 2, such as im1.png",
        "val: mattes without a value between transparent and opaque: 1 of 2, such as im1.png",
    ]


def test_hard_mattes_have_an_unknown_region_by_the_width_of_the_trimap(tmp_path):
    mattes(tmp_path, HARD)
    (hard,) = warnings(MattingFolder(tmp_path))
    assert hard == "val: mattes without a value between transparent and opaque: 1 of 1, such as im0.png"
    for width in (1, 2.9, 3, 4):
        dataset = MattingFolder(tmp_path, trimap_width=width)
        unknown = bool((dataset[0]["trimap"] == 128).any())
        assert unknown == (warnings(dataset) == [hard])


def test_mattes_of_another_scale(tmp_path):
    (line,) = warnings(MattingFolder(mattes(tmp_path, np.clip(disc(12, 16), 0, 200) // 2)))
    assert "the largest alpha of all 1 mattes is 100 of 255. If that means opaque, say data.alpha_max" in line
    assert warnings(MattingFolder(tmp_path, alpha_max=100)) == []


def test_cutouts_are_looked_at_too(tmp_path):
    foreground = write(tmp_path / "f.png", noise(0, 12, 16))
    dataset = CompositeDataset([foreground], [foreground], [write(tmp_path / "a.png", HARD)])
    assert warnings(dataset) == ["val: mattes without a value between transparent and opaque: 1 of 1, such as a.png"]
    rgba = write(tmp_path / "rgba.png", np.dstack([noise(0, 12, 16), disc(12, 16)]))
    assert warnings(CompositeDataset([rgba], [foreground])) == []


def test_the_check_reads_no_more_than_its_limit(tmp_path):
    dataset = SegmentationFolder(labels(tmp_path, (0, 1), (0, 1), (2, 2)), 3)
    assert check_datasets({"train": dataset}, 2).warnings == [
        "train: found no pixel of class 2 (class_2) in the 2 labels read"
    ]
