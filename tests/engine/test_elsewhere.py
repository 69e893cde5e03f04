"""A checkpoint is evaluated on other data: what is not changed stays as in its run, and nothing changes silently."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from configuring import TINY, configure
from omegaconf import DictConfig, OmegaConf

from denseup.cli import evaluate
from denseup.cli import evaluation_data as elsewhere
from denseup.cli.build import build_data, build_task
from denseup.cli.config import plain
from denseup.engine import RunFolder
from denseup.engine.folder import CONFIG_KEY

IGNORED = [2]


def write_labelled(root: Path) -> Path:
    rng = np.random.default_rng(0)
    for kind, shape, values in (("images", (64, 64, 3), 256), ("labels", (64, 64), 3)):
        (root / kind).mkdir(parents=True)
        cv2.imwrite(str(root / kind / "a.png"), rng.integers(0, values, shape, np.uint8))
    return root


def checkpoint(folder: Path, *overrides: str) -> Path:
    """Of an untrained network: its config is what counts."""
    cfg = configure(*overrides)
    torch.manual_seed(0)
    task = build_task(cfg, build_data(cfg), training=False)
    torch.save({CONFIG_KEY: plain(cfg), "state_dict": task.state_dict()}, folder / "best.ckpt")
    return folder / "best.ckpt"


@pytest.fixture(scope="module")
def segmentation(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of a run whose data ignore a label, on a folder that has been moved since."""
    options = ["data=segmentation_folder", "data.root=moved/away", "data.num_classes=3", "data.num_workers=0"]
    chosen = ["task=segmentation", "upsampler=bilinear", *TINY["segmentation"], *options]
    return checkpoint(tmp_path_factory.mktemp("run"), *chosen, f"data.ignore_labels={IGNORED}")


def measured(ckpt: Path, out: Path, *overrides: str) -> dict[str, Any]:
    cfg: DictConfig = configure(f"ckpt={ckpt}", *overrides, name="evaluate")
    return evaluate.run(cfg, RunFolder(out))


def test_the_root_alone_is_changed(segmentation: Path, tmp_path: Path) -> None:
    root = write_labelled(tmp_path / "data")
    result = measured(segmentation, tmp_path / "a", f"data.root={root}")
    data = OmegaConf.load(tmp_path / "a/config.yaml").data
    assert (data.root, data.ignore_labels, data.num_classes) == (str(root), IGNORED, 3)
    counted = measured(segmentation, tmp_path / "b", f"data.root={root}", "data.ignore_labels=[]")
    assert counted["metrics"]["miou"] != result["metrics"]["miou"]


def test_the_same_group_keeps_the_options_of_the_run_and_says_so(
    segmentation: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = write_labelled(tmp_path / "data")
    chosen = ["data=segmentation_folder", f"data.root={root}", "data.num_classes=3", "data.num_workers=0"]
    same = measured(segmentation, tmp_path / "a", f"data.root={root}")
    assert "data." not in capsys.readouterr().out
    assert measured(segmentation, tmp_path / "b", *chosen)["metrics"] == same["metrics"]
    assert "data.ignore_labels: [2] as in the run" in capsys.readouterr().out
    measured(segmentation, tmp_path / "c", *chosen, "data.ignore_labels=[1]")
    assert OmegaConf.load(tmp_path / "c/config.yaml").data.ignore_labels == [1]
    assert "ignore_labels" not in capsys.readouterr().out


def test_another_group_counts_alone_and_names_what_differs(
    segmentation: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(ValueError, match="does not fit the data's classes"):
        measured(segmentation, tmp_path / "out", "data=demo")
    told = capsys.readouterr().out
    assert "data.ignore_labels: no such option, in the run [2]" in told
    assert "data.root" not in told


def test_an_unknown_option_names_the_valid_ones(segmentation: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"data\.rooot: SegmentationFolderData.* valid: .*ignore_labels.* root"):
        measured(segmentation, tmp_path, "data.rooot=x")
    with pytest.raises(ValueError, match=r"data\.num_workers is -1"):
        measured(segmentation, tmp_path, "data.num_workers=-1")


def test_a_path_that_is_none_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="ckpt is 12, expected the path of a file"):
        evaluate.run(configure("ckpt=12", name="evaluate"), RunFolder(tmp_path))
    with pytest.raises(ValueError, match="this is a folder"):
        measured(tmp_path, tmp_path)


def test_weights_that_are_not_finite_are_named(tmp_path: Path) -> None:
    path = checkpoint(tmp_path, "task=matting", "upsampler=bilinear", "data.image_size=64", *TINY["matting"])
    content = torch.load(path, weights_only=True)
    content["state_dict"]["network.head.3.weight"].fill_(float("nan"))
    torch.save(content, path)
    with pytest.raises(
        ValueError, match=r"best\.ckpt: the weights are not finite, first network\.head\.3\.weight: NaN"
    ):
        measured(path, tmp_path / "out")
    assert '"metrics":' not in (tmp_path / "out/result.json").read_text()


def test_what_the_command_line_names_wins_even_if_it_is_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    kind = "denseup.data.datamodules.demo.SegmentationFolderData"
    run = {"_target_": kind, "root": "a", "ignore_labels": [2], "reduce_zero_label": True}
    group = {"_target_": kind, "root": "???", "ignore_labels": [], "reduce_zero_label": False}
    task = ["ckpt=x", "data=segmentation_folder", "data.ignore_labels=[]", "data.root=b"]
    config = SimpleNamespace(
        initialized=lambda: True, get=lambda: SimpleNamespace(overrides=SimpleNamespace(task=task))
    )
    monkeypatch.setattr(elsewhere, "HydraConfig", config)
    options, notes = elsewhere.merged_data(OmegaConf.create({**group, "root": "b"}), run, group)
    assert options == {"_target_": kind, "root": "b", "ignore_labels": [], "reduce_zero_label": True}
    assert notes == ["data.reduce_zero_label: True as in the run"]
