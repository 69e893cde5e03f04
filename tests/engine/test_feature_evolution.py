"""Watching features changes nothing in the training, works for every upsampler, and loses no frame."""

import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from configuring import TINY, configure
from omegaconf import DictConfig
from PIL import Image
from torch import Tensor, nn

from denseup.cli import train
from denseup.cli.build import build_callbacks
from denseup.engine import RunFolder
from denseup.engine.callbacks.feature_evolution import FeatureEvolution, evaluating, frame_steps, upsampled_features
from denseup.engine.callbacks.frames import FeatureFrames
from denseup.networks import MattingResNet34, SegFormerHead
from denseup.tasks import MattingTask
from denseup.upsamplers import Upsampler, create_upsampler, list_upsamplers

SHORT = ["trainer=short", "data.batch_size=2", "data.image_size=96", "data.val_length=2", "logger=csv"]
ON = "callbacks=feature_evolution"


def short(task: str, *overrides: str) -> DictConfig:
    return configure(f"task={task}", *SHORT, *TINY[task], *overrides)


def frames(run: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in sorted((run / "features").glob("step_*.png"))}


@pytest.mark.parametrize("name", list_upsamplers())
def test_every_upsampler_is_seen_in_both_networks(name: str) -> None:
    matting = MattingResNet34(name, width=8, depths=(1, 1, 1), dropout=0.0).eval()
    x = torch.randn(2, 4, 32, 48)
    features, alpha = upsampled_features(matting, lambda: matting(x))
    assert (features.shape, alpha.shape) == ((8, 32, 48), (2, 1, 32, 48))
    assert upsampled_features(matting, lambda: matting(x), -2)[0].shape == (8, 16, 24)
    assert upsampled_features(matting, lambda: matting(x), 0)[0].shape == (32, 4, 6)

    head = SegFormerHead([8, 12, 16, 20], 5, name, embed_dim=16, dropout=0.0).eval()
    maps = [torch.randn(1, c, 16 >> i, 24 >> i) for i, c in enumerate((8, 12, 16, 20))]
    image = torch.randn(1, 3, 64, 96)
    assert upsampled_features(head, lambda: head(maps, image))[0].shape == (3 * 16, 16, 24)
    assert not any(module._forward_hooks for module in (*matting.modules(), *head.modules()))


class Nested(Upsampler):
    """An operator that is made of another one."""

    def __init__(self) -> None:
        super().__init__(4)
        self.inner = create_upsampler("bilinear", de_channels=4)

    def upsample(self, de: Tensor, en: Tensor | None, size: Any, state: Any) -> Tensor:
        return 2 * self.inner(de, output_size=size)


def test_an_upsampler_within_another_belongs_to_it() -> None:
    network = nn.Sequential(nn.Identity(), nn.Sequential(Nested()))
    features, out = upsampled_features(network, lambda: network(torch.randn(1, 4, 3, 5)))
    assert torch.equal(features, out[0])


def test_a_stage_that_is_not_there_is_named() -> None:
    network = nn.Sequential(Nested())
    with pytest.raises(ValueError, match=r"stage is -2, but the upsamplers of this network have outputs of.*6×10"):
        upsampled_features(network, lambda: network(torch.randn(1, 4, 3, 5)), -2)
    with pytest.raises(ValueError, match="of the sizes: none"):
        upsampled_features(nn.Identity(), lambda: torch.zeros(1))
    with pytest.raises(ValueError, match="frames is 1, expected at least 2"):
        FeatureEvolution(frames=1)
    with pytest.raises(ValueError, match="max_side is 0"):
        FeatureEvolution(max_side=0)


def test_every_module_gets_its_own_mode_back() -> None:
    module = nn.Sequential(nn.BatchNorm2d(2), nn.Sequential(nn.Dropout(), nn.BatchNorm2d(2).eval())).train()
    before = [part.training for part in module.modules()]
    with evaluating(module):
        assert not any(part.training for part in module.modules())
    assert [part.training for part in module.modules()] == before


@pytest.mark.parametrize("total", [1, 2, 7, 500, 160_000])
def test_steps_are_denser_at_the_start(total: int) -> None:
    steps = sorted(frame_steps(total, 14))
    assert (steps[0], steps[-1]) == (0, total)
    assert len(steps) <= 14
    if total >= 500:
        assert len(steps) == 14
        assert (np.diff(steps, 2) >= -1).all()


@pytest.mark.parametrize("task", ["matting", "segmentation"])
def test_the_training_is_the_same_as_without(task: str, tmp_path: Path) -> None:
    """Results, weights, optimizer and random states, to the last bit."""
    found = {}
    for name, switch in (("with", ON), ("without", "callbacks=default")):
        result = train.run(short(task, switch), RunFolder(tmp_path / name))
        checkpoint = torch.load(tmp_path / name / "checkpoints/last.ckpt", map_location="cpu", weights_only=True)
        states = (torch.get_rng_state().tolist(), repr(np.random.get_state()), random.getstate())
        found[name] = (result, checkpoint, states)
    (one, ckpt, states), (other, other_ckpt, other_states) = found["with"], found["without"]
    assert one["metrics"] == other["metrics"]
    assert states == other_states
    assert one["config_hash"] == other["config_hash"]
    torch.testing.assert_close(ckpt["state_dict"], other_ckpt["state_dict"], rtol=0, atol=0)
    moments = [c["optimizer_states"][0]["state"] for c in (ckpt, other_ckpt)]
    torch.testing.assert_close(*moments, rtol=0, atol=0)
    assert (one["features"], "features" in other) == ("features/contact_sheet.png", False)
    assert not (tmp_path / "without/features").exists()
    assert set(frames(tmp_path / "with")) == {f"step_{step:06d}.png" for step in range(5)}
    for file, least in (("contact_sheet.png", 500), ("image.png", 96), ("panel.png", 300)):
        assert Image.open(tmp_path / "with/features" / file).width >= least
    assert Image.open(tmp_path / "with/features/evolution.gif").n_frames == 5


def test_an_interrupted_run_keeps_its_frames(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = RunFolder(tmp_path / "whole")
    train.run(short("matting", ON), whole)
    cut = RunFolder(tmp_path / "cut")
    losses = []

    def fail(self: MattingTask, batch: dict) -> Tensor:
        losses.append(loss(self, batch))
        if len(losses) == 4:
            raise RuntimeError("no loss today")
        return losses[-1]

    loss = MattingTask.loss
    monkeypatch.setattr(MattingTask, "loss", fail)
    with pytest.raises(RuntimeError, match="no loss today"):
        train.run(short("matting", ON), cut)
    monkeypatch.undo()
    assert FeatureFrames(cut.features).steps == [0, 1, 2, 3]
    assert Image.open(cut.features / "evolution.gif").n_frames == 4
    kept = {step: cut.features / f"step_{step:06d}.png" for step in (0, 1, 2)}
    for file in kept.values():
        Image.new("RGB", (96, 96), (9, 9, 9)).save(file)
    train.run(short("matting", ON, f"resume={cut.checkpoints / 'last.ckpt'}"), cut)
    after, expected = frames(cut.path), frames(whole.path)
    assert after.keys() == expected.keys()
    assert all(np.asarray(Image.open(file)).max() == 9 for file in kept.values())  # not made a second time
    for step in (3, 4):
        assert after[f"step_{step:06d}.png"] == expected[f"step_{step:06d}.png"]
    assert Image.open(cut.features / "evolution.gif").n_frames >= 3
    assert json.loads(cut.result.read_text())["features"]


def test_a_new_training_keeps_nothing_of_an_old_one(tmp_path: Path) -> None:
    old, grey, rgb = FeatureFrames(tmp_path), np.zeros((8, 8), np.uint8), np.zeros((8, 8, 3), np.uint8)
    assert old.draw() is None
    for step in (0, 5, 9):
        old.add(step, grey, rgb, rgb)
    old.draw()
    old.start(5)
    assert old.steps == [0, 5]
    assert not old.gif.exists()
    old.start(0)
    assert old.steps == []


def test_it_is_off_by_default_and_on_in_the_demo_sweep() -> None:
    def drawing(*overrides: str) -> int:
        return sum(isinstance(callback, FeatureEvolution) for callback in build_callbacks(configure(*overrides)))

    assert [drawing(), drawing(ON), drawing("sweep=demo"), drawing("sweep=demo", "callbacks=default")] == [0, 1, 1, 0]
    assert len(build_callbacks(configure(ON))) == len(build_callbacks(configure())) + 1
