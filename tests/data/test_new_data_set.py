"""A data set that only fixes options of the folder data sets is one yaml, in conf/data or in a folder of one's own."""

import json
from pathlib import Path

import pytest
from configuring import TINY
from data.sample_folders import label_folder
from hydra import compose, initialize_config_dir

from denseup.cli import train
from denseup.cli.places import CONF
from denseup.engine import RunFolder

YAML = """
name: shapes
_target_: denseup.data.datamodules.SegmentationFolderData
root: ???
num_classes: 3
class_names: [ground, square, disc]
labels: masks
splits: [train, val, val]
label_values: {0: 0, 1: 1, 2: 2}
crop_size: 32
short_side: 60
long_side: null
batch_size: 2
num_workers: 0
seed: ${seed}
"""


@pytest.fixture
def added(tmp_path: Path) -> Path:
    """A folder of configs with conf/data/shapes.yaml, and the set itself beside it."""
    (tmp_path / "conf" / "data").mkdir(parents=True)
    (tmp_path / "conf" / "data" / "shapes.yaml").write_text(YAML)
    for split in ("train", "val"):
        label_folder(tmp_path / "shapes", count=3, split=split, labels="masks", num_classes=3)
    return tmp_path


def test_it_trains(added: Path, tmp_path: Path) -> None:
    with initialize_config_dir(str(CONF), version_base="1.3"):
        searched = f"hydra.searchpath=[file://{added / 'conf'}]"
        short = ["trainer=short", "trainer.max_steps=1", "logger=none", *TINY["segmentation"]]
        chosen = ["task=segmentation", "upsampler=bilinear", "data=shapes", f"data.root='{added / 'shapes'}'"]
        cfg = compose("train", [searched, *chosen, *short])
    result = train.run(cfg, RunFolder(tmp_path / "run"))
    assert result["status"] == "finished"
    assert result["class_names"] == ["ground", "square", "disc"]
    assert json.loads((tmp_path / "run" / "result.json").read_text())["metrics"]["best"]["miou"] >= 0
