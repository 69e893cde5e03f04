"""Runs of before encoders were a config group of their own: built, gone on from, measured and compared as ever."""

from pathlib import Path
from typing import Any

import pytest
import torch
from configuring import configure, tiny_run
from omegaconf import OmegaConf

from denseup.cli import evaluate, train
from denseup.cli.build import build_data, build_task
from denseup.cli.config import plain
from denseup.engine import RunFolder
from denseup.engine.folder import CONFIG_KEY
from denseup.engine.former import upgraded
from denseup.networks import MattingNetwork, SegmentationNetwork
from denseup.reporting.grouping import group_runs
from denseup.reporting.loading import read_run

OLD: dict[str, tuple[list[str], dict[str, Any]]] = {
    "quick matting": (
        ["task=matting", "encoder=matting_small"],
        {
            "_target_": "denseup.networks.MattingResNet34",
            "width": 16,
            "depths": [1, 1, 1],
            "dropout": 0.0,
            "head_init": "identity",
        },
    ),
    "quick segmentation": (
        ["task=segmentation", "encoder=segmentation_small"],
        {
            "_target_": "denseup.networks.SegFormer",
            "variant": "b0",
            "embed_dim": 64,
            "dropout": 0.1,
            "drop_path": 0.0,
        },
    ),
    "published matting": (
        ["experiment=composition1k", "data.root=a", "data.backgrounds=b"],
        {
            "_target_": "denseup.networks.MattingResNet34",
            "width": 64,
            "depths": [3, 4, 4],
            "dropout": 0.5,
            "head_init": "xavier",
            "pretrained": True,
        },
    ),
    "published segmentation": (
        ["experiment=ade20k", "data.root=a"],
        {
            "_target_": "denseup.networks.SegFormer",
            "variant": "b1",
            "embed_dim": 256,
            "dropout": 0.1,
            "drop_path": 0.1,
            "pretrained": True,
        },
    ),
}
"""Today's overrides, and `model` of the config that the same run had then."""


def old_config(case: str) -> dict[str, Any]:
    overrides, model = OLD[case]
    config = plain(configure("upsampler=fade", *overrides))
    del config["encoder"]
    return {**config, "model": dict(model)}


@pytest.mark.parametrize("case", OLD)
def test_it_says_what_todays_config_says(case: str) -> None:
    today = plain(configure("upsampler=fade", *OLD[case][0]))
    assert upgraded(old_config(case)) == today
    assert upgraded(today) == today


@pytest.mark.parametrize("case", ["quick matting", "quick segmentation"])
def test_it_builds_the_network_that_it_built_then(case: str) -> None:
    old = old_config(case)
    states = []
    for config in (old, upgraded(old)):
        torch.manual_seed(0)
        cfg = OmegaConf.create(config)
        network = build_task(cfg, build_data(cfg)).network
        assert isinstance(network, MattingNetwork | SegmentationNetwork)
        states.append({**network.state_dict(), "drawn": torch.rand(1)})
    assert list(states[0]) == list(states[1])
    torch.testing.assert_close(*states, rtol=0, atol=0)


def test_a_backbone_of_another_size_comes_along() -> None:
    old = old_config("quick segmentation")
    old["model"]["backbone"] = {"depths": [1, 1, 1, 1]}
    assert upgraded(old)["encoder"] == {"name": "mit_b0", "drop_path": 0.0, "depths": [1, 1, 1, 1]}


def test_a_network_of_ones_own_stays_as_it_is() -> None:
    model = {"_target_": "mine.Network", "width": 3}
    assert upgraded({"model": model}) == {"model": model, "encoder": None}


@pytest.fixture(scope="module")
def old_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a finished run, with config and checkpoints as they were written then."""
    path = tmp_path_factory.mktemp("old")
    cfg = tiny_run("upsampler=fade")
    train.run(cfg, RunFolder(path))
    old = {**old_config("quick matting"), **{k: v for k, v in plain(cfg).items() if k not in ("encoder", "model")}}
    old["model"]["width"] = 8
    (path / "config.yaml").write_text(OmegaConf.to_yaml(OmegaConf.create(old)))
    for file in (path / "checkpoints").glob("*.ckpt"):
        torch.save({**torch.load(file, weights_only=True), CONFIG_KEY: old}, file)
    return path


def test_it_is_gone_on_from(old_run: Path, tmp_path: Path) -> None:
    checkpoint = old_run / "checkpoints/last.ckpt"
    with pytest.warns(UserWarning, match=r"other settings: trainer\.max_steps is 4 there and 6 here$"):
        result = train.run(
            tiny_run("upsampler=fade", f'resume="{checkpoint}"', "trainer.max_steps=6"), RunFolder(tmp_path)
        )
    assert result["steps"] == 6
    changed = tiny_run("upsampler=fade", f'resume="{checkpoint}"', "encoder.depths=[1,2,1]")
    with pytest.raises(ValueError, match=r"another network: encoder\.depths is \[1, 1, 1\] there and \[1, 2, 1\] here"):
        train.run(changed, RunFolder(tmp_path / "again"))


def test_it_is_measured(old_run: Path, tmp_path: Path) -> None:
    overrides = [f'ckpt="{old_run / "checkpoints/best.ckpt"}"', "+data.val_length=1"]
    result = evaluate.run(configure(*overrides, name="evaluate"), RunFolder(tmp_path))
    assert result["status"] == "finished"


def test_it_is_compared_with_runs_of_today(old_run: Path, tmp_path: Path) -> None:
    train.run(tiny_run(), RunFolder(tmp_path))
    groups, left_out = group_runs([read_run(old_run), read_run(tmp_path)])
    assert [list(group.members) for group in groups] == [["bilinear", "fade"]]
    assert not left_out
