"""Runs that version 0.1.0 left behind before the rebuild: tests/reference/former_runs, with what it then made of them.

Each holds config.yaml, result.json, metrics.csv and the best checkpoint of four steps; expected.json has the metrics
that the same version measured with `src.evaluate`.
"""

import json
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from configuring import configure
from omegaconf import DictConfig

import denseup
from denseup.cli import evaluate, report, train
from denseup.cli.build import build_data, build_task
from denseup.cli.loading import rebuilt_data
from denseup.engine import RunFolder
from denseup.engine.callbacks.randomness import RandomByStep
from denseup.engine.folder import CONFIG_KEY
from denseup.engine.former import upgraded
from denseup.tasks.norms import batch_norms

FORMER = Path(__file__).parent.parent / "reference" / "former_runs"
RUNS = {
    "matting_indexnet": [
        *("task=matting", "encoder=matting_small", "recipe=matting_scratch", "upsampler=indexnet", "model.width=4"),
        "recipe.start=published",
    ],
    "segmentation_fade": [
        *("task=segmentation", "encoder=segmentation_small", "recipe=segmentation_scratch", "recipe.start=published"),
        *("upsampler=fade", "upsampler.embed_channels=8", "model.embed_dim=8"),
        *("+encoder.hidden_sizes=[8,16,20,32]", "+encoder.depths=[1,1,1,1]"),
        *("+encoder.mlp_ratios=[1,1,1,1]", "+encoder.sr_ratios=[4,2,1,1]"),
    ],
}
SHORT = ["trainer=short", "trainer.limit_val_batches=2", "data.batch_size=2", "data.image_size=64", "data.crop_size=64"]
SHORT += ["data.val_length=2", "logger=csv", "recipe.max_steps=4", "trainer.max_steps=6"]
TOLERANCE = 1e-2
"""Relative: four of the metrics are of 8-bit mattes and argmaxes, where one rounding error moves a whole pixel."""

every_run = pytest.mark.parametrize("name", RUNS)


@pytest.fixture
def run(name: str, tmp_path: Path) -> Path:
    return Path(shutil.copytree(FORMER / name, tmp_path / name))


def expected(name: str, which: str) -> dict[str, float]:
    found: dict[str, float] = json.loads((FORMER / name / "expected.json").read_text())[which]
    return found


@every_run
def test_it_is_evaluated(run: Path, name: str, tmp_path: Path) -> None:
    cfg = configure(f"ckpt='{run}/checkpoints/best.ckpt'", name="evaluate")
    result = evaluate.run(cfg, RunFolder(tmp_path / "evaluated"))
    assert result["metrics"] == pytest.approx(expected(name, "evaluated"), rel=TOLERANCE)


@every_run
def test_it_goes_on(run: Path, name: str, tmp_path: Path, recwarn: pytest.WarningsRecorder) -> None:
    """With the weights, the optimizer, the schedule and the samples that it would have come to: as two steps by hand.

    What that version then measured is no yardstick any more: its crops were drawn from other random streams.
    """
    cfg = configure(*RUNS[name], *SHORT, f"resume='{run}/checkpoints/best.ckpt'")
    result = train.run(cfg, RunFolder(tmp_path / "resumed"))
    weights = torch.load(tmp_path / "resumed" / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]
    torch.testing.assert_close(weights, by_hand(run, cfg), rtol=1e-5, atol=1e-6)
    assert (result["metrics"]["last"]["step"], result["steps"]) == (6, 6)
    others = [str(warning.message) for warning in recwarn if "other settings" in str(warning.message)]
    assert all("trainer.max_steps" in text and text.count(" there and ") == 1 for text in others), others


def by_hand(run: Path, cfg: DictConfig) -> dict[str, torch.Tensor]:
    """The weights after the fifth and sixth step, from what the checkpoint of the fourth holds."""
    checkpoint = torch.load(run / "checkpoints" / "best.ckpt", weights_only=True)
    data = build_data(cfg)
    task = build_task(cfg, data)
    task.load_state_dict(checkpoint["state_dict"])
    task.trainer = pl.Trainer(max_steps=6, logger=False, enable_checkpointing=False, accelerator="cpu")
    configured = task.configure_optimizers()
    optimizer, schedule = configured["optimizer"], configured["lr_scheduler"]["scheduler"]
    optimizer.load_state_dict(checkpoint["optimizer_states"][0])
    schedule.load_state_dict(checkpoint["lr_schedulers"][0])
    task.train()
    if cfg.recipe.optimization.get("freeze_norms_after"):  # after a share of the steps that is over
        for norm in batch_norms(task.network):
            norm.eval()
    for number, batch in enumerate(data.train_dataloader()):
        if 4 <= number < 6:
            seed_step(cfg.seed, number)
            optimizer.zero_grad()
            task.loss(batch).backward()
            optimizer.step()
            schedule.step()
    return task.state_dict()


def seed_step(seed: int, done: int) -> None:
    """As a run does before a step; see `RandomByStep`."""
    loop = SimpleNamespace(epoch_loop=SimpleNamespace(total_batch_idx=done))
    RandomByStep(seed).on_train_batch_start(SimpleNamespace(fit_loop=loop, global_rank=0), None, None, 0)  # type: ignore[arg-type]


@every_run
def test_it_is_loaded(run: Path, name: str) -> None:
    task = denseup.load(run / "checkpoints" / "best.ckpt")
    assert task.name == name.partition("_")[0]
    assert not task.training
    weights = torch.load(run / "checkpoints" / "best.ckpt", weights_only=True)["state_dict"]
    same = {key: value for key, value in task.state_dict().items() if key in weights}
    assert len(same) == len(task.state_dict())
    assert all(torch.equal(value, weights[key]) for key, value in same.items())


def test_the_weights_that_a_run_started_from_may_be_gone(tmp_path: Path) -> None:
    """Its checkpoint holds all that is needed: nothing else is looked for, let alone downloaded."""
    checkpoint = torch.load(FORMER / "matting_indexnet" / "checkpoints" / "best.ckpt", weights_only=True)
    checkpoint[CONFIG_KEY]["model"]["pretrained"] = str(tmp_path / "gone.pth")
    torch.save(checkpoint, tmp_path / "best.ckpt")
    cfg = configure(f"ckpt='{tmp_path}/best.ckpt'", name="evaluate")
    result = evaluate.run(cfg, RunFolder(tmp_path / "evaluated"))
    assert result["metrics"] == pytest.approx(expected("matting_indexnet", "evaluated"), rel=TOLERANCE)
    assert denseup.load(tmp_path / "best.ckpt").name == "matting"


def test_they_are_reported(tmp_path: Path) -> None:
    for name in RUNS:
        shutil.copytree(FORMER / name, tmp_path / name)
    page = report.run([tmp_path], latency=False, examples=1).read_text()
    text = (tmp_path / "report" / "report.md").read_text()
    for name in ("indexnet", "fade"):
        assert name in text
        assert name in page
    assert "could not" not in text


@every_run
def test_its_start_was_the_published_one(run: Path) -> None:
    """A checkpoint says nothing of it; a comparison with runs of today has to."""
    weights = torch.load(run / "checkpoints" / "best.ckpt", weights_only=True)
    config = upgraded(weights[CONFIG_KEY])
    assert config["upsampler"]["start"] == config["recipe"]["start"] == "published"
    assert "start" not in weights[CONFIG_KEY]["upsampler"]


def test_data_sets_that_were_classes_are_built_as_what_they_were(tmp_path: Path) -> None:
    common = {"root": str(tmp_path), "crop_size": 64, "batch_size": 2, "num_workers": 0, "seed": 3}
    former: list[dict[str, Any]] = [
        {"_target_": "denseup.data.datamodule.CamVidData", "short_side": 180, **common},
        {"_target_": "denseup.data.datamodule.ADE20KData", "test_size": [256, 1024], **common},
    ]
    camvid, ade20k = (rebuilt_data(upgraded({"task": {"name": "segmentation"}, "data": options})) for options in former)
    assert (camvid.num_classes, camvid.class_names[0], camvid.seed) == (11, "sky", 3)
    assert (camvid.augmentation.crop_size, camvid.augmentation.short_side, camvid.augmentation.long_side) == (
        64,
        180,
        720,
    )
    assert camvid.folders["ignore_labels"] == (11,)
    assert (ade20k.num_classes, ade20k.test_size, ade20k.folders["reduce_zero_label"]) == (150, (256, 1024), True)
    assert ade20k.splits == {"train": "training", "val": "validation", "test": "validation"}


def test_a_config_of_today_is_left_as_it_is() -> None:
    config = {
        "task": {"name": "matting"},
        "encoder": None,
        "data": {"name": "demo", "_target_": "denseup.data.datamodules.DemoData"},
        "protocol": {"name": "frozen"},
    }
    assert upgraded(config) == config
