"""A training killed with signal 9, and started again by the same command, ends as one that was never interrupted.

To the last bit: weights, optimizer, schedule, averaged weights, streams, history, results, rows of metrics.csv, values
of each image, pictures.
"""

import functools
import os
import random
import signal
import time
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from configuring import tiny_run
from omegaconf import DictConfig
from processes import python
from pytorch_lightning.plugins.precision import MixedPrecision
from reliability.failpoints import OPTION, POINTS, VARIABLE
from reliability.same_run import differences, ended, run_in_a_process, started

from denseup.engine import RunFolder, training
from denseup.engine.state import read_result

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs processes that are copies of this one")

BY_STEP = "callbacks.checkpoint.every_minutes=0"
EPOCHS_OF_5 = ["model.dropout=0.5", "data.train_length=10", "recipe.average=0.5", BY_STEP]
"""Batches of two; evaluations and checkpoints by time fall into the middle of epochs."""


def config(task: str = "matting", steps: int = 7, *overrides: str) -> DictConfig:
    length = [f"trainer.max_steps={steps}", "trainer.val_check_interval=3", "trainer.limit_val_batches=2"]
    return tiny_run(*EPOCHS_OF_5, *length, *overrides, task=task)


def whole(folder: Path, cfg: DictConfig) -> Path:
    """A run that nobody interrupts."""
    assert run_in_a_process(cfg, folder) == 0
    return folder


def killed(folder: Path, cfg: DictConfig, *points: str) -> Path:
    """A run that dies at each of some points in turn, and is started again until it ends."""
    for point in points:
        assert run_in_a_process(cfg, folder, point) == -signal.SIGKILL, f"it did not come to {point}"
    return whole(folder, cfg)


SCALE = 2.0**4
"""No gradient overflows: a step that is left out would hide what was lost before it."""


class Scaling(pl.Trainer):
    """A trainer in float16 on the CPU, whose scale of the loss grows after two steps that go well."""

    @functools.wraps(pl.Trainer.__init__)
    def __init__(self, **options: Any) -> None:
        scaler = torch.amp.GradScaler("cpu", init_scale=SCALE, growth_interval=2)
        super().__init__(**options | {"precision": None}, plugins=[MixedPrecision("16-mixed", "cpu", scaler)])


IN_HALVES = "+trainer.accumulate_grad_batches=2"
"""Evaluations after three batches come in the middle of a step."""


def test_a_run_killed_again_and_again_is_the_same_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the middle of a step that an evaluation had come into, while a checkpoint is written, and at the end.

    All at once: dropout, averaged weights, float16 with a scale of its own, steps of two batches.
    """
    monkeypatch.setattr(training.pl, "Trainer", Scaling)
    points = ("the gradients of a step*4", "a checkpoint written beside*2", "the averaged weights*1")
    cfg = config("matting", 4, IN_HALVES, "trainer.limit_val_batches=1")
    assert differences(whole(tmp_path / "whole", cfg), killed(tmp_path / "cut", cfg, *points)) == []


@pytest.fixture(scope="module", params=["matting", "segmentation"])
def reference(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    """A task, and a run of it that nobody interrupted."""
    return request.param, whole(tmp_path_factory.mktemp(request.param), config(request.param))


@pytest.mark.slow
@pytest.mark.parametrize("point", POINTS)
def test_at_every_point(point: str, reference: tuple[str, Path], tmp_path: Path) -> None:
    """Killed there for the first time, started again, and killed there again."""
    task, expected = reference
    cfg = config(task)
    ends = [run_in_a_process(cfg, tmp_path, f"{point}*{number}") for number in (1, 2)]
    assert ends[0] == -signal.SIGKILL
    assert ends[1] in (-signal.SIGKILL, 0), "what happens once a process can't happen twice"
    if ends[1]:
        whole(tmp_path, cfg)
    assert differences(expected, tmp_path) == []


@pytest.mark.slow
@pytest.mark.parametrize("workers", [0, 1])
@pytest.mark.parametrize("attempt", range(3))
def test_at_random_times(attempt: int, workers: int, reference: tuple[str, Path], tmp_path: Path) -> None:
    """Four kills, each somewhere along the run; in half of the runs checkpoints come after evaluations alone."""
    task, expected = reference
    often = BY_STEP if attempt % 2 else "callbacks.checkpoint.every_minutes=null"
    cfg = config(task, 7, f"data.num_workers={workers}", often)
    drawn = random.Random(f"{task} {attempt} {workers}")
    seconds = read_result(RunFolder(expected))["seconds"]
    kills = 0
    while kills < 4 and not RunFolder(tmp_path).finished():
        child = started(cfg, tmp_path)
        time.sleep(drawn.uniform(0.1, 0.5) * seconds)  # however fast the machine is: it may have ended
        os.kill(child, signal.SIGKILL)
        kills += ended(child) == -signal.SIGKILL
    if not RunFolder(tmp_path).finished():
        whole(tmp_path, cfg)
    print(f"{kills} kills")
    said = ("/denseup_config/", "/config_hash")  # the number of workers and how often checkpoints come
    assert [found for found in differences(expected, tmp_path) if not any(key in found for key in said)] == []


@pytest.mark.slow
def test_the_gradients_of_a_step_that_is_not_done_are_kept(tmp_path: Path) -> None:
    """Evaluations after three batches, where a step takes two: killed in the fourth."""
    cfg = config("matting", 4, IN_HALVES, "callbacks.checkpoint.every_minutes=null")
    expected, found = whole(tmp_path / "whole", cfg), killed(tmp_path / "cut", cfg, "the gradients of a step*4")
    assert differences(expected, found) == []


@pytest.mark.slow
def test_the_scale_of_a_loss_in_float16_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training.pl, "Trainer", Scaling)
    cfg = config("matting", 5)
    expected, found = whole(tmp_path / "whole", cfg), killed(tmp_path / "cut", cfg, "a step*4")
    scaler = torch.load(found / "checkpoints/last.ckpt", weights_only=True)["MixedPrecision"]
    assert scaler["scale"] != SCALE
    assert differences(expected, found) == []


@pytest.mark.slow
@pytest.mark.parametrize("task", ["matting", "segmentation"])
def test_the_same_command_line(task: str, tmp_path: Path) -> None:
    """Real processes: killed twice, the third goes to the end."""
    said = [*EPOCHS_OF_5[1:], "trainer=short", "trainer.max_steps=7", "trainer.val_check_interval=3", OPTION]
    said += [f"task={task}", "upsampler=fade", "data.crop_size=64", "data.batch_size=2", "logger=csv"]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([os.environ.get("PYTHONPATH", ""), "tests", "."])}
    environment["OMP_NUM_THREADS"] = "1"

    def command(folder: str, point: str = "") -> int:
        arguments = ["-m", "src.train", f"hydra.run.dir={tmp_path / folder}", *said]
        return python(*arguments, env=environment | {VARIABLE: point}).returncode

    assert command("whole") == 0
    ends = [command("cut", point) for point in ("a checkpoint begun*900", "a picture*2", "")]
    assert ends == [-signal.SIGKILL, -signal.SIGKILL, 0]
    assert differences(tmp_path / "whole", tmp_path / "cut") == []
