"""A process that loads data is killed: the run ends with an error that names it, and can be resumed."""

import multiprocessing
import os
import signal
from pathlib import Path
from typing import Any

import pytest
from configuring import tiny_run
from torch import Tensor

from denseup.cli import train
from denseup.cli.config import RunError, user_errors
from denseup.data.parallel import worked
from denseup.engine import RunFolder
from denseup.engine.state import read_result
from denseup.faults import WorkerDiedError, naming_dead_workers
from denseup.tasks import MattingTask


def kill_a_worker() -> int:
    worker = multiprocessing.active_children()[0]
    assert worker.pid is not None
    os.kill(worker.pid, signal.SIGKILL)
    return worker.pid


def test_a_killed_worker_is_named_and_the_run_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    loss, killed = MattingTask.loss, []

    def kill(self: MattingTask, batch: dict[str, Any]) -> Tensor:
        if self.global_step == 2 and not killed:
            killed.append(kill_a_worker())
        return loss(self, batch)

    monkeypatch.setattr(MattingTask, "loss", kill)
    folder, cfg = RunFolder(tmp_path), tiny_run("data.num_workers=1", "trainer.max_steps=12")
    with pytest.raises(RunError) as caught, user_errors(folder, cfg):
        train.run(cfg, folder)
    said = str(caught.value)
    assert f"a process that loads data (pid {killed[0]}) " in said
    assert "a lower data.num_workers needs less" in said
    assert f"goes on from {folder.checkpoints / 'last.ckpt'}" in said
    assert read_result(folder)["status"] == "killed"
    again = tiny_run("data.num_workers=0", "trainer.max_steps=4", f"resume={folder.checkpoints / 'last.ckpt'}")
    train.run(again, folder)
    assert read_result(folder)["steps"] == 4


def dies(item: int) -> int:
    if item == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    return item


def test_work_on_many_files_names_it_too() -> None:
    with pytest.raises(WorkerDiedError, match=r"a process that loads data \(pid [\d, ]+\)"):
        list(worked(dies, range(4), 1))


@pytest.mark.parametrize(
    ("torchs", "ours"),
    [
        ("DataLoader worker (pid 12) is killed by signal: Killed. ", r"\(pid 12\) was ended by a signal: Killed;"),
        ("DataLoader worker (pid(s) 1, 23) exited unexpectedly", r"\(pid 1, 23\) ended without a word;"),
        ("DataLoader worker (pid 5) exited unexpectedly with exit code 1. Details", r"\(pid 5\) ended without a word;"),
    ],
)
def test_torchs_words_in_ours(torchs: str, ours: str) -> None:
    with pytest.raises(WorkerDiedError, match=ours), naming_dead_workers():
        raise RuntimeError(torchs)


def test_other_errors_are_left_alone() -> None:
    with pytest.raises(RuntimeError, match=r"^of another kind$"), naming_dead_workers():
        raise RuntimeError("of another kind")
