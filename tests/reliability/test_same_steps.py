"""What would lose samples or count them twice is refused: other batches within an epoch, copies of a process."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from configuring import tiny_run

from denseup.cli import train
from denseup.engine import RunFolder
from denseup.engine.batching import check_processes
from denseup.engine.callbacks.steps import SAMPLES_KEY, SameSteps, samples_of
from denseup.engine.folder import CONFIG_KEY
from denseup.engine.options import check_trainer


def checkpoint(completed: int = 2, last: bool = False, **entries: Any) -> dict[str, Any]:
    progress = {"current": {"completed": completed}, "is_last_batch": last}
    return {"loops": {"fit_loop": {"epoch_loop.batch_progress": progress}}, **entries}


def trainer(batch: int, world: int) -> Any:
    return SimpleNamespace(datamodule=SimpleNamespace(batch_size=batch), world_size=world)


def test_other_batches_within_an_epoch_are_refused_with_what_makes_the_same() -> None:
    callback, kept = SameSteps(), checkpoint()
    callback.on_save_checkpoint(trainer(2, 2), None, kept)  # type: ignore[arg-type]
    assert kept[SAMPLES_KEY] == 4
    callback.on_load_checkpoint(trainer(4, 1), None, kept)  # type: ignore[arg-type]
    words = r"batches have 4 samples.*here they have 2\..*expected recipe\.effective_batch_size=4, or data\.batch_size"
    with pytest.raises(ValueError, match=words):
        callback.on_load_checkpoint(trainer(2, 1), None, kept)  # type: ignore[arg-type]


@pytest.mark.parametrize("kept", [checkpoint(0), checkpoint(5, last=True)], ids=["before one", "after one"])
def test_between_two_epochs_they_are_nobodys_loss(kept: dict[str, Any]) -> None:
    SameSteps().on_load_checkpoint(trainer(2, 1), None, {**kept, SAMPLES_KEY: 4})  # type: ignore[arg-type]


CONFIGS = [
    ({"data": {"batch_size": 2}, "trainer": {"devices": 2}}, 4),
    ({"data": {"batch_size": 2}, "trainer": {"devices": 2}, "recipe": {"effective_batch_size": 8}}, 8),
    ({"data": {"batch_size": 2}, "trainer": {"devices": "auto"}}, None),
    ({"data": {"batch_size": 2}, "trainer": {"devices": -1}}, None),
    ({}, None),
]


@pytest.mark.parametrize(("config", "samples"), CONFIGS)
def test_checkpoints_of_earlier_versions_tell_by_their_config(config: dict[str, Any], samples: int | None) -> None:
    assert samples_of(config) == samples
    kept = checkpoint(**{CONFIG_KEY: config})
    if samples is None:
        SameSteps().on_load_checkpoint(trainer(3, 1), None, kept)  # type: ignore[arg-type]
    else:
        with pytest.raises(ValueError, match=f"batches have {samples} samples"):
            SameSteps().on_load_checkpoint(trainer(3, 1), None, kept)  # type: ignore[arg-type]


def test_a_run_says_so(tmp_path: Path) -> None:
    options = ["trainer.max_steps=4", "trainer.val_check_interval=2", "data.train_length=20", "recipe.average=null"]
    train.run(tiny_run(*options[1:], "trainer.max_steps=2"), RunFolder(tmp_path / "first"))
    last = tmp_path / "first/checkpoints/last.ckpt"
    assert torch.load(last, weights_only=True)[SAMPLES_KEY] == 2
    resumed = tiny_run(*options, f"resume='{last}'", "data.batch_size=4")
    with (
        pytest.warns(UserWarning, match=r"data\.batch_size is 2 there and 4 here"),
        pytest.raises(ValueError, match=r"its batches have 2 samples.*here they have 4"),
    ):
        train.run(resumed, RunFolder(tmp_path / "second"))


def test_processes_that_are_copies_of_this_one_are_refused() -> None:
    """What they measure would stay with them."""
    for strategy in ("ddp_spawn", "ddp_fork"):
        spawning = pl.Trainer(accelerator="cpu", devices=2, strategy=strategy, logger=False)
        with pytest.raises(ValueError, match=r"trainer\.strategy is one that spawns or forks .*expected ddp or"):
            check_processes(spawning)
    check_processes(pl.Trainer(accelerator="cpu", devices=2, strategy="ddp", logger=False))
    check_processes(pl.Trainer(accelerator="cpu", devices=1, logger=False))


def test_processes_share_out_what_is_evaluated() -> None:
    check_trainer({"use_distributed_sampler": True})
    with pytest.raises(ValueError, match=r"trainer\.use_distributed_sampler is False: .*count them several times"):
        check_trainer({"use_distributed_sampler": False})
