"""The options of the folder data sets through Hydra, and what the entry points print before training."""

import numpy as np
import pytest
from configuring import configure
from data.sample_folders import disc, noise, write
from omegaconf import OmegaConf

from denseup.cli.build import build_data, check_data


def labels(root, *values):
    for split in ("train", "val"):
        write(root / "images" / split / "a.png", noise(0, 8, 8))
        write(root / "labels" / split / "a.png", np.resize(np.array(values, np.uint8), (8, 8)))
    return ["task=segmentation", "data=segmentation_folder", f"data.root={root}", "data.num_classes=2"]


def mattes(root):
    for kind, array in (("image", noise(0)), ("alpha", (disc() > 128).astype(np.uint8)), ("trimap", disc() // 128)):
        write(root / kind / "val" / "a.png", array)
    return ["task=matting", "data=matting_folder", f"data.root={root}", "data.trimap=trimap"]


def test_masks_of_0_and_255(tmp_path, capsys):
    overrides = labels(tmp_path, 0, 255)
    with pytest.raises(ValueError, match=r"alone, with num_classes=2.*'data\.label_values=\{255: 1\}'"):
        check_data(build_data(configure(*overrides)), "fit", 10)
    cfg = configure(*overrides, "data.label_values={255: 1}")
    again = OmegaConf.create(OmegaConf.to_yaml(cfg.data, resolve=True))
    for data in (build_data(cfg), build_data(OmegaConf.create({"data": again, "task": cfg.task}))):
        check_data(data, "fit", 10)
        assert data.dataset("val")[0]["label"].unique().tolist() == [0, 1]
    capsys.readouterr()
    check_data(build_data(configure(*overrides, "data.ignore_labels=[255]")), "fit", 10)
    assert capsys.readouterr().err.splitlines() == [
        f"warning: {split}: found no pixel of class 1 (class_1) in the 1 labels read" for split in ("train", "val")
    ]
    check_data(build_data(configure(*overrides)), "fit", 0)
    assert capsys.readouterr().err == ""


def test_colours_on_the_command_line(tmp_path):
    overrides = labels(tmp_path, 7, 9)
    data = build_data(configure(*overrides, "data.label_colours=[[9,9,9],[7,7,7]]"))
    check_data(data, "fit", 10)
    assert data.dataset("val")[0]["label"][0, :2].tolist() == [1, 0]


def test_trimaps_and_mattes_of_other_codes(tmp_path):
    overrides = mattes(tmp_path)
    with pytest.raises(ValueError, match=r"alpha/val/a\.png(.|\n)*data\.alpha_max=1(.|\n)*trimap/val/a\.png"):
        check_data(build_data(configure(*overrides)), "test", 10)
    said = ["data.alpha_max=1", "data.trimap_values={0: 0, 1: 255}"]
    data = build_data(configure(*overrides, *said))
    check_data(data, "test", 10)
    sample = data.dataset("test")[0]
    assert sample["alpha"].unique().tolist() == sample["trimap"].unique().tolist() == [0, 255]


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["data.label_values={3: 7}"], r"label_values=\{3: 7\}: found the classes 7; expected .*0\.\.1"),
        (["data.label_values={3: 1}", "data.ignore_labels=[3]"], "both name the file values 3"),
    ],
)
def test_senseless_options_are_refused_at_once(tmp_path, overrides, message):
    with pytest.raises(Exception, match="SegmentationFolderData") as error:
        build_data(configure(*labels(tmp_path, 0, 1), *overrides))
    with pytest.raises(ValueError, match=message):
        raise error.value.__cause__
