"""recipe.effective_batch_size: the same steps whatever the parts and the processes that take them."""

import csv
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from configuring import configure, tiny_run

from denseup.cli import train
from denseup.cli.build import _samples
from denseup.cli.checks import check_config
from denseup.cli.config import plain
from denseup.data.datamodules import DemoData
from denseup.engine import RunFolder
from denseup.engine.batching import batches_of, check_norms, share_of_process
from denseup.engine.former import FORMER_SAMPLES, upgraded


def trainer(world: int = 1, accumulated: int = 1) -> Any:
    return SimpleNamespace(world_size=world, accumulate_grad_batches=accumulated)


@pytest.mark.parametrize(
    ("effective", "batch", "world", "share"),
    [(16, 16, 1, 16), (16, 8, 1, 16), (16, 8, 2, 8), (16, 1, 4, 4), (6, 3, 2, 3)],
)
def test_processes_share_the_batch(effective: int, batch: int, world: int, share: int) -> None:
    assert share_of_process(effective, batch, trainer(world)) == share
    task, data = SimpleNamespace(micro_batch=None), DemoData(batch_size=batch)
    with batches_of(effective, task, data, trainer(world)):  # type: ignore[arg-type]
        assert (data.batch_size, task.micro_batch) == (share, batch)
    assert (data.batch_size, task.micro_batch) == (batch, None)


def test_without_one_a_step_is_what_the_data_give() -> None:
    task, data = SimpleNamespace(micro_batch=None), DemoData(batch_size=3)
    with batches_of(None, task, data, trainer(2, 5)):  # type: ignore[arg-type]
        assert (data.batch_size, task.micro_batch) == (3, None)


@pytest.mark.parametrize(
    ("effective", "batch", "world", "words"),
    [
        (16, 3, 1, r"data\.batch_size is 3, which does not divide it .*_size is 16\); expected 1, 2, 4, 8 or 16"),
        (16, 16, 2, r"data\.batch_size is 16, .*16, 8 in each of 2 processes\); expected 1, 2, 4 or 8$"),
        (16, 4, 3, r"recipe\.effective_batch_size is 16, which 3 processes can't share; expected 1, 2, 4, 8 or 16 of"),
        (1, 2, 1, r"data\.batch_size is 2, which does not divide it .*; expected 1$"),
    ],
)  # fmt: skip
def test_what_does_not_divide_says_what_does(effective: int, batch: int, world: int, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        share_of_process(effective, batch, trainer(world))


def test_two_ways_of_accumulating_are_one_too_many() -> None:
    with pytest.raises(ValueError, match=r"trainer\.accumulate_grad_batches is 2, expected 1: recipe\.effective_batch"):
        share_of_process(16, 8, trainer(accumulated=2))


@pytest.mark.parametrize("value", [0, -1, 2.5, "abc", True])
def test_it_is_a_whole_number(value: object) -> None:
    cfg = configure(f"recipe.effective_batch_size={value}")
    with pytest.raises(ValueError, match=r"recipe\.effective_batch_size is .*, expected an integer of at least 1"):
        check_config(cfg)


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "metrics.csv").open(newline="") as lines:
        return list(csv.DictReader(lines))


def test_steps_rates_and_evaluations_are_those_of_the_whole_batch(tmp_path: Path) -> None:
    """Four steps with an evaluation after the second and the fourth, of 4 samples each or 4 times one."""
    found = []
    for batch in (4, 1):
        options = ["data.train_length=12", "recipe.optimization.freeze_norms_after=0", "trainer.precision=64-true"]
        cfg = tiny_run(f"data.batch_size={batch}", "recipe.effective_batch_size=4", "trainer.max_steps=4", *options)
        folder = tmp_path / str(batch)
        found.append((train.run(cfg, RunFolder(folder)), rows(folder)))
    (whole, expected), (parts, told) = found
    assert parts["steps"] == whole["steps"] == 4
    assert [row["step"] for row in told] == [row["step"] for row in expected]
    for one, other in zip(told, expected, strict=True):
        for key in ("train/loss", "val/sad", "lr-Adam"):
            if other.get(key):
                assert float(one[key]) == pytest.approx(float(other[key]), rel=1e-5), key
    assert sum(bool(row["train/loss"]) for row in told) == 4
    assert sum(bool(row["val/sad"]) for row in told) == 2


def test_features_are_kept_for_as_many_samples_as_a_run_draws() -> None:
    options = configure("trainer.max_steps=10").trainer
    assert _samples(options, 4, 16) == 160
    assert _samples(options, 4, None) == 40


def test_runs_from_before_there_was_one_are_compared_with_those_without() -> None:
    today = plain(configure())
    before = {**today, "recipe": dict(today["recipe"]), "trainer": dict(today["trainer"])}
    del before["recipe"]["effective_batch_size"], before["trainer"]["compile"]
    assert upgraded(before) == today | {FORMER_SAMPLES: True}  # and their random crops were others


def test_synchronised_norms_are_asked_of_gpus() -> None:
    """torch synchronises them there only: elsewhere it would fail in the first step."""
    cpu, gpu = (
        SimpleNamespace(_layer_sync=object(), root_device=SimpleNamespace(type=kind)) for kind in ("cpu", "cuda")
    )
    plain_cpu = SimpleNamespace(_layer_sync=None, root_device=cpu.root_device)
    with pytest.raises(ValueError, match=r"trainer\.sync_batchnorm is True, but torch .* on GPUs only; expected false"):
        check_norms(SimpleNamespace(world_size=2, strategy=cpu))  # type: ignore[arg-type]
    for world, strategy in ((2, gpu), (1, cpu), (2, plain_cpu)):
        check_norms(SimpleNamespace(world_size=world, strategy=strategy))  # type: ignore[arg-type]
