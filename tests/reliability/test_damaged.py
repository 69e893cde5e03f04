"""A run whose newest checkpoint is damaged says so and goes on from the one before; without any it does nothing."""

import re
import shutil
import warnings
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
from denseup.engine.resuming import load_checkpoint, take_along
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
        assert not take_along(cut / "checkpoints/last.ckpt", 4, RunFolder(cut))


def test_whoever_reads_a_damaged_checkpoint_is_told_which(cut: Path) -> None:
    path = cut / "checkpoints/best.ckpt"
    flip(path)
    with pytest.raises(ValueError, match=rf"ckpt={re.escape(str(path))}: .*damaged.*SHA-256"):
        load_checkpoint(path, "ckpt")


def test_what_could_not_be_read_again_is_told_when_it_is_written(tmp_path: Path) -> None:
    files = checkpoints.CheckpointFiles(keep=2)
    with pytest.warns(UserWarning, match=r"last\.ckpt can't be read again: the state of a callback, .*UnpicklingError"):
        files.save_checkpoint({"callbacks": {"mine": Path("x")}}, tmp_path / "last.ckpt")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        checkpoints.CheckpointFiles(keep=2).save_checkpoint({"callbacks": {"mine": 1}}, tmp_path / "last.ckpt")


def test_another_config_does_not_write_over_an_unfinished_run(cut: Path) -> None:
    before = {path.name: path.read_bytes() for path in (cut / "checkpoints").iterdir()}
    with pytest.raises(
        RunError, match=r"holds checkpoints of a run of another config, .*choose another hydra\.run\.dir"
    ):
        command(cut, "seed=1")
    assert {path.name: path.read_bytes() for path in (cut / "checkpoints").iterdir()} == before


@pytest.mark.parametrize("broken", [False, True], ids=["another config", "a result.json that is cut"])
def test_a_refusal_leaves_the_run_as_it_is(whole: Path, cut: Path, broken: bool) -> None:
    """Else the next command, which is the run's own, would take it for one that failed, and start it anew."""
    result = (cut / "result.json").read_bytes()
    if broken:
        (cut / "result.json").write_bytes(result[:40])
    before = {path: path.read_bytes() for path in cut.rglob("*") if path.is_file()}
    for _ in range(2):
        with pytest.raises(RunError, match="holds checkpoints of a run"):
            command(cut, *([] if broken else ["seed=1"]))
    assert {path: path.read_bytes() for path in cut.rglob("*") if path.is_file()} == before
    (cut / "result.json").write_bytes(result)
    command(cut)
    assert differences(whole, cut) == []


def test_a_run_that_failed_starts_from_nothing_and_leaves_no_checkpoint_for_it(cut: Path) -> None:
    folder = RunFolder(cut)
    folder.write_result({**read_result(folder), "status": "failed"})
    cfg = config()
    train.go_on(cfg, folder)
    assert cfg.resume is None
    assert {path.name for path in folder.checkpoints.iterdir()} == {"best.ckpt"}


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


class Steps:
    """What a trainer is to `KeepCheckpoints`: six batches, after the fourth an evaluation with its checkpoint.

    Args:
        callback: to be told.
        batches: of a step.
    """

    check_val_every_n_epoch, fast_dev_run, loggers, default_root_dir, world_size = None, False, (), ".", 1
    strategy: Any = SimpleNamespace(broadcast=bool)

    def __init__(self, callback: KeepCheckpoints, batches: int) -> None:
        self.callback, self.batches, self.done = callback, batches, 0
        self.saved: list[int] = []

    @property
    def global_step(self) -> int:
        return self.done // self.batches

    def run(self) -> list[int]:
        """Batches that were done when checkpoints were written."""
        this: Any = self
        module: Any = None
        self.callback.on_train_start(this, module)
        for self.done in range(6):
            if self.done == 4:
                self.save_checkpoint()
            self.callback.on_train_batch_start(this, module, None, self.done)
        return self.saved

    def save_checkpoint(self, path: Path | None = None) -> None:
        self.saved.append(self.done)
        progress = {key: {"ready": 3, "started": 2, "completed": 2} for key in ("total", "current")}
        loops = {"fit_loop": {"epoch_loop.batch_progress": {**progress, "is_last_batch": True}}}
        this: Any = self
        self.callback.on_save_checkpoint(this, this, {"loops": loops})
        found: dict[str, Any] = loops["fit_loop"]["epoch_loop.batch_progress"]
        assert found["is_last_batch"] is (path is None), "the next batch has not begun in a checkpoint by time"
        assert found["total"]["ready"] == (3 if path is None else 2)


@pytest.mark.parametrize(
    ("every", "batches", "expected"),
    [
        (None, 1, [4]),
        (0, 1, [1, 2, 3, 4, 5]),
        (1, 1, [2, 4]),
        (0.5, 1, [1, 2, 3, 4, 5]),
        (1.1, 1, [3, 4]),
        (0, 2, [2, 4]),
        (0, 4, [4]),
    ],
)
def test_checkpoints_come_by_time_too(
    every: float | None, batches: int, expected: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between two batches that take half a minute, where a step is done; the time counts from the last one."""
    callback = KeepCheckpoints(every)
    steps = Steps(callback, batches)
    monkeypatch.setattr(checkpoints, "time", SimpleNamespace(monotonic=lambda: 30.0 * steps.done))
    assert steps.run() == expected
