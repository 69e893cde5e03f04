"""`check_data` names what is wrong and nothing else, in sets of every kind; and says how it ended."""

import io
import os
import re
from pathlib import Path

import numpy as np
import pytest
from data import planted, published_layouts
from data.published_layouts import COUNTS, MATTING, SEGMENTATION, options
from data.sample_folders import write
from data.test_published_layouts import composites
from processes import python_module
from rich.console import Console

from denseup.cli import check_data
from denseup.cli.places import CONF
from denseup.data.checking import whole

COUNT = 25


def checked(said, *more):
    """The reports, the files that lines name, and what was printed."""
    console = Console(file=io.StringIO(), width=200)
    words = [word for word in said if word.partition("=")[0] not in ("data.num_workers", "data.batch_size")]
    reports = check_data.run(check_data.parse([*words, "num_workers=0", *more]), console)
    shown = console.file.getvalue()
    named = [Path(path) for path in re.findall(r"^(?:broken|suspicious): \w+: (/\S[^:]*): ", shown, re.MULTILINE)]
    lines = [line for line in shown.splitlines() if line.startswith(("broken", "suspicious"))]
    return reports, named, lines


def groups(root, images, *partners):
    """Image and partners by name; each is a folder and a suffix."""
    folder, suffix = images
    paths = sorted((root / folder).rglob(f"*{suffix}"))
    names = [path.relative_to(root / folder).as_posix().removesuffix(suffix) for path in paths]
    return [(path, *(root / f / f"{name}{s}" for f, s in partners)) for path, name in zip(paths, names, strict=True)]


LABELLED = {
    "segmentation_folder": (("images/train", ".jpg"), ("labels/train", ".png"), 1, 9),
    "ade20k": (("images/training", ".jpg"), ("annotations/training", ".png"), 5, 200),
    "cityscapes": (("leftImg8bit/train", "_leftImg8bit.png"), ("gtFine/train", "_gtFine_labelIds.png"), 7, 34),
    "voc2012": (("JPEGImages", ".jpg"), ("SegmentationClass", ".png"), 1, 77),
    "voc2012_aug": (("JPEGImages", ".jpg"), ("SegmentationClassAug", ".png"), 1, 77),
    "camvid": (("images/train", ".png"), ("labels/train", ".png"), 1, 12),
    "camvid_segnet": (("train", ".png"), ("trainannot", ".png"), 1, 12),
    "cocostuff164k": (("images/train2017", ".jpg"), ("annotations/train2017", ".png"), 1, 11),
}
"""Images, labels, a file value that is a class and one that is nothing."""
EVALUATED = {
    "matting_folder": ("image/val", "alpha/val", "trimap/val"),
    "aim500": ("original", "mask", "trimap"),
    "am2k": tuple(f"validation/{kind}" for kind in ("original", "mask", "trimap")),
    "p3m10k": tuple(f"validation/P3M-500-P/{kind}" for kind in ("blurred_image", "mask", "trimap")),
}
"""Images, mattes and trimaps."""


@pytest.mark.parametrize("make", [*MATTING, *SEGMENTATION], ids=lambda make: make.__name__)
def test_sound_sets_raise_no_alarm(make, tmp_path):
    said = options(make, tmp_path)
    if make is published_layouts.composition1k:
        composites(tmp_path)
    reports, _, lines = checked(said)
    # labels of two images do not show all classes of COCO-Stuff
    assert [line for line in lines if "found no pixel of class" not in line] == []
    assert not check_data.failed(reports, strict=False)
    assert all(report.sound == report.groups for report in reports.values())
    train = reports.get("train")
    backgrounds = {"composition1k": 6, "distinctions646": 1}.get(make.__name__, 0)
    assert train is None or train.groups == COUNTS["train"] + backgrounds


@pytest.mark.parametrize("name", list(LABELLED))
def test_twenty_faults_of_labelled_sets(name, tmp_path):
    said = options(getattr(published_layouts, name), tmp_path, count=COUNT)
    images, labels, *values = LABELLED[name]
    training = [group for group in groups(tmp_path, images, labels) if "2007" not in str(group) and group[1].exists()]
    planted_files = planted.segmentation(training, *values, orphans="voc" not in name)
    reports, named, lines = checked(said)
    assert sorted(named) == sorted(planted_files), "\n".join(lines)
    assert check_data.failed(reports, strict=False)


@pytest.mark.parametrize("name", list(EVALUATED))
def test_twenty_faults_of_sets_with_mattes(name, tmp_path):
    said = options(getattr(published_layouts, name), tmp_path, evaluated=COUNT)
    images, *partners = EVALUATED[name]
    found = groups(tmp_path, (images, ".jpg"), *((folder, ".png") for folder in partners))
    planted_files = planted.mattes(found)
    reports, named, lines = checked(said)
    assert sorted(named) == sorted(planted_files), "\n".join(lines)
    assert check_data.failed(reports, strict=False)


def test_twenty_faults_of_composition1k(tmp_path):
    said = options(published_layouts.composition1k, tmp_path, count=16)
    composites(tmp_path)
    licensed, test = "Training_set/Adobe-licensed images", tmp_path / "Test_set" / "Adobe-licensed images"
    fronts = groups(tmp_path, (f"{licensed}/fg", ".jpg"), (f"{licensed}/alpha", ".jpg"))
    ready = [
        (path, test / "alpha" / f"{path.stem[:-2]}.png", test / "trimaps" / path.name)
        for path in sorted((tmp_path / "Test_set" / "merged").iterdir())
    ]
    planted_files = planted.cutouts(fronts, sorted((tmp_path / "train2014").iterdir()), ready)
    reports, named, lines = checked(said)
    assert sorted(set(named)) == sorted(planted_files), "\n".join(lines)
    assert check_data.failed(reports, strict=False)


def test_the_same_by_several_processes(tmp_path):
    said = options(published_layouts.ade20k, tmp_path, count=COUNT)
    images, labels, *values = LABELLED["ade20k"]
    planted.segmentation(groups(tmp_path, images, labels), *values)
    alone, _, lines = checked(said)
    together, _, same = checked(said, "num_workers=2")
    assert lines == same
    assert [vars(report) for report in alone.values()] == [vars(report) for report in together.values()]


def test_suspicion_is_no_failure_unless_asked_for(tmp_path):
    said = options(published_layouts.camvid, tmp_path)
    (path, *_) = sorted((tmp_path / "labels" / "val").iterdir())
    write(path, np.full((24, 32), 11, np.uint8))
    reports, named, _ = checked(said)
    assert named == [path]
    assert (check_data.failed(reports, strict=False), check_data.failed(reports, strict=True)) == (False, True)


def test_only_some_splits(tmp_path):
    said = options(published_layouts.camvid, tmp_path)
    (tmp_path / "labels" / "val" / "0001TP_000000.png").unlink()
    assert checked(said, "splits=[train,test]")[1] == []
    assert len(checked(said, "splits=val")[1]) == 1
    with pytest.raises(ValueError, match="splits is 'trian', expected some of train, val, test"):
        checked(said, "splits=trian")


def test_splits_that_are_not_there_are_broken(tmp_path):
    said = options(published_layouts.camvid, tmp_path)
    for kind in ("images", "labels"):
        (tmp_path / kind / "val").rename(tmp_path / kind / "valid")
    reports, _, _ = checked(said)
    assert "found no val split" in reports["val"].problems[0]
    assert reports["test"].problems == []


def test_names_in_lists_without_a_file(tmp_path):
    said = options(published_layouts.voc2012, tmp_path)
    file = tmp_path / "ImageSets" / "Segmentation" / "train.txt"
    file.write_text(file.read_text() + "2008_999999\n2008_000000\n")
    reports, named, _ = checked(said)
    assert sorted(named) == [file, tmp_path / "JPEGImages" / "2008_999999"]
    assert (reports["train"].groups, reports["train"].sound) == (3, 3)


@pytest.mark.parametrize("gone", ["labels", "labels/train", "images"])
def test_whole_folders_that_are_missing(gone, tmp_path):
    said = options(published_layouts.camvid, tmp_path)
    (tmp_path / gone).rename(tmp_path / "elsewhere")
    reports, _, lines = checked(said)
    assert check_data.failed(reports, strict=False)
    assert str(tmp_path / gone) in lines[0]
    assert bool(reports["val"].problems) == ("/" not in gone)


def test_what_is_for_evaluation_alone_is_told_to_be(tmp_path, capsys):
    said = options(published_layouts.aim500, tmp_path)
    assert check_data.main([*said, "num_workers=0"]) == 0
    assert "train: no such split; the set is for evaluation alone" in capsys.readouterr().out


def test_files_of_two_splits_are_read_and_named_once(tmp_path):
    said = options(published_layouts.ade20k, tmp_path)
    path = planted.cut(sorted((tmp_path / "annotations" / "validation").iterdir())[0])
    reports, named, _ = checked(said)
    assert named == [path]
    assert [(r.groups, r.sound, r.read_before) for r in reports.values()] == [(3, 3, 0), (2, 1, 0), (2, 1, 2)]


def test_a_folder_that_cannot_be_listed_is_told(tmp_path, monkeypatch):
    said = options(published_layouts.camvid, tmp_path)
    locked = tmp_path / "images" / "val" / "locked"
    locked.mkdir()
    scan = os.scandir

    def refuse(path="."):
        if Path(path) == locked:
            raise PermissionError(13, "Permission denied", str(path))
        return scan(path)

    monkeypatch.setattr(os, "scandir", refuse)
    assert checked(said)[1] == [locked]


def test_labels_that_contradict_each_other_over_all_splits(tmp_path):
    said = options(published_layouts.segmentation_folder, tmp_path)
    for path in (tmp_path / "labels").rglob("*.png"):
        write(path, np.resize(np.array([0, 255], np.uint8), (24, 32)))
    reports, _, _ = checked([*said, "data.num_classes=2"])
    assert "labels: found class 0 and 255" in reports["train"].problems[0]


def test_a_picture_that_does_not_fit_into_memory_is_one_of_them(tmp_path, monkeypatch):
    said = options(published_layouts.camvid, tmp_path)
    big = tmp_path / "images" / "val" / "0001TP_000000.png"
    read = whole.read_group.__globals__["open_picture"]

    def full(path):
        if path == big:
            raise MemoryError
        return read(path)

    monkeypatch.setitem(whole.read_group.__globals__, "open_picture", full)
    assert checked(said)[1] == [big]


def test_the_command(tmp_path):
    said = options(published_layouts.camvid, tmp_path)
    planted.empty(tmp_path / "images" / "val" / "0001TP_000000.png")
    done = python_module("src.check_data", *said)
    assert done.returncode == 1, done.stderr
    assert "broken: val: " in done.stdout
    assert "train: 3 groups of 6 files; 3 sound, 0 broken, 0 suspicious" in done.stdout
    assert check_data.main([*said, "splits=train", "num_workers=0"]) == 0


def test_what_a_command_line_lacks(tmp_path, capsys):
    with pytest.raises(SystemExit, match=r"check_data needs data\.root=…"):
        check_data.parse(["data=camvid"])
    with pytest.raises(SystemExit, match=r"data\.root is 5, expected the path of a folder"):
        check_data.parse(["data=camvid", "data.root=5"])
    with pytest.raises(SystemExit):
        check_data.parse(["data=camvit", "data.root=x"])
    assert "Did you mean 'camvid'?" in capsys.readouterr().err
    assert check_data.main(["data=camvid", f"data.root='{tmp_path}'", "num_workers=-1"]) == 1


def test_sets_of_ones_own(tmp_path):
    (tmp_path / "conf" / "data").mkdir(parents=True)
    (tmp_path / "conf" / "data" / "mine.yaml").write_text((CONF / "data" / "camvid.yaml").read_text())
    published_layouts.camvid(tmp_path / "set")
    words = ["--config-dir", str(tmp_path / "conf"), "data=mine", f"data.root='{tmp_path / 'set'}'"]
    assert check_data.main([*words, "num_workers=0"]) == 0
