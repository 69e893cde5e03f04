"""A run whose newest checkpoint is damaged says so and goes on from the one before; without any it does nothing."""

import re
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from configuring import tiny_run
from omegaconf import DictConfig
from reliability.same_run import differences

from denseup.cli import train
from denseup.cli.config import RunError, record_failure, user_errors
from denseup.engine import RunFolder
from denseup.engine.callbacks import checkpoints
from denseup.engine.callbacks.checkpoints import KeepCheckpoints
from denseup.engine.checkpoint_files import NothingWholeError
from denseup.engine.resuming import load_checkpoint
from denseup.engine.state import read_result

LENGTH = ["trainer.max_steps=4", "trainer.val_check_interval=2", "data.train_length=6", "model.dropout=0.5"]
OFTEN = "callbacks.checkpoint.every_minutes=0"


def config(*overrides: str) -> DictConfig:
    return tiny_run(*LENGTH, OFTEN, *overrides)


def command(folder: Path, *overrides: str) -> None:
    """What `denseup train` does in a folder."""
    cfg = config(*overrides)
    with user_errors(RunFolder(folder), cfg):
        train.go_on(cfg, RunFolder(folder))
        train.run(cfg, RunFolder(folder))


def interrupt(folder: Path) -> Path:
    """Let a finished run be one that was killed before it wrote its result."""
    result = read_result(RunFolder(folder))
    RunFolder(folder).write_result({**result, "status": "running"})
    return folder / "checkpoints"


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("whole")
    command(folder)
    return folder


@pytest.fixture
def cut(whole: Path, tmp_path: Path) -> Path:
    folder = Path(shutil.copytree(whole, tmp_path / "cut"))
    interrupt(folder)
    return folder


def test_the_one_before_is_used_and_ends_as_the_same_run(whole: Path, cut: Path) -> None:
    last = cut / "checkpoints/last.ckpt"
    before = torch.load(cut / "checkpoints/last-1.ckpt", weights_only=True)["global_step"]
    assert before < 4
    last.write_bytes(last.read_bytes()[:5000])
    with pytest.warns(
        UserWarning, match=rf"{re.escape(str(last))}: it is cut off.*; the run goes on from .*last-1\.ckpt"
    ):
        command(cut)
    assert differences(whole, cut) == []


def test_all_damaged_is_an_error_and_the_run_stays_interrupted(cut: Path) -> None:
    before = {path.name for path in (cut / "checkpoints").iterdir()}
    for path in (cut / "checkpoints").glob("last*.ckpt"):
        flip(path)
    for _ in range(2):  # the error is no failure that the next command would start anew
        with pytest.raises(RunError, match=r"none of the checkpoints of .* is whole: .*SHA-256.*start the run anew"):
            command(cut)
        assert read_result(RunFolder(cut))["status"] == "killed"
    assert {path.name for path in (cut / "checkpoints").iterdir()} == before


def test_a_damaged_best_is_told(cut: Path) -> None:
    flip(cut / "checkpoints/best.ckpt")
    with pytest.warns(UserWarning, match=r"best\.ckpt: .*damaged.*; the best is sought among the evaluations to come"):
        command(cut)
    assert read_result(RunFolder(cut))["status"] == "finished"


def test_whoever_reads_a_damaged_checkpoint_is_told_which(cut: Path) -> None:
    path = cut / "checkpoints/best.ckpt"
    flip(path)
    with pytest.raises(ValueError, match=rf"ckpt={re.escape(str(path))}: .*damaged.*SHA-256"):
        load_checkpoint(path, "ckpt")


def test_another_config_does_not_write_over_an_unfinished_run(cut: Path) -> None:
    before = {path.name: path.read_bytes() for path in (cut / "checkpoints").iterdir()}
    with pytest.raises(
        RunError, match=r"holds checkpoints of a run of another config, .*choose another hydra\.run\.dir"
    ):
        command(cut, "seed=1")
    assert {path.name: path.read_bytes() for path in (cut / "checkpoints").iterdir()} == before


def test_what_no_checkpoint_could_be_read_of_is_no_failure(tmp_path: Path) -> None:
    record_failure(RunFolder(tmp_path), NothingWholeError("none"), None)
    assert read_result(RunFolder(tmp_path))["status"] == "killed"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"every_minutes": -1}, "every_minutes is -1, expected a number ≥ 0, or null"),
        ({"every_minutes": "often"}, "every_minutes is 'often', expected a number"),
        ({"every_minutes": True}, "every_minutes is True, expected a number"),
        ({"keep": 0}, "callbacks.checkpoint.keep is 0, expected an integer of at least 1"),
        ({"keep": 1.5}, "callbacks.checkpoint.keep is 1.5, expected an integer"),
    ],
)
def test_wrong_settings_are_named(options: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        KeepCheckpoints(**options)


@pytest.mark.parametrize(
    ("every", "expected"),
    [(None, [4, 4, 6, 6]), (0, [1, 2, 3, 4, 4, 5, 6, 6]), (1, [2, 4, 4, 6, 6]), (1.5, [3, 4, 4, 6, 6])],
)
def test_checkpoints_come_by_time_too(
    every: float | None, expected: list[int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Evaluations after four steps and at the end, two minutes for three steps: the time counts from the last one."""
    steps: list[int] = []
    clock = SimpleNamespace(monotonic=lambda: 40.0 * len(asked))
    asked: list[int] = []
    start = KeepCheckpoints.on_train_batch_start
    save = KeepCheckpoints.on_save_checkpoint

    def starting(self: KeepCheckpoints, *args: Any) -> None:
        asked.append(0)
        start(self, *args)

    def saving(self: KeepCheckpoints, trainer: Any, *args: Any) -> None:
        steps.append(trainer.global_step)
        save(self, trainer, *args)

    monkeypatch.setattr(checkpoints, "time", clock)
    monkeypatch.setattr(KeepCheckpoints, "on_train_batch_start", starting)
    monkeypatch.setattr(KeepCheckpoints, "on_save_checkpoint", saving)
    value = "null" if every is None else every
    cfg = config("trainer.max_steps=6", "trainer.val_check_interval=4", f"callbacks.checkpoint.every_minutes={value}")
    train.run(cfg, RunFolder(tmp_path))
    assert steps == expected
