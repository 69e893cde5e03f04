"""Offline W&B runs of src.train, resumed or of something else, as the report reads them."""

import shutil
from pathlib import Path

import pytest
from configuring import TINY, configure
from torch import Tensor

from denseup.cli import train
from denseup.engine import RunFolder
from denseup.engine.loggers.wandb_reader import find_runs
from denseup.reporting import load_runs
from denseup.tasks import MattingTask

SHORT = ["trainer=short", "data.image_size=64", "data.val_length=2", "logger=wandb", "upsampler=nearest"]


def test_the_parts_of_a_resumed_run_are_one_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that failed after its first evaluation and goes on from there equals its run folder."""
    folder, steps = RunFolder(tmp_path / "run"), []

    def fail_in_step_4(self: MattingTask, batch: dict) -> Tensor:
        steps.append(loss(self, batch))
        if len(steps) == 4:
            raise RuntimeError("no loss today")
        return steps[-1]

    loss = MattingTask.loss
    monkeypatch.setattr(MattingTask, "loss", fail_in_step_4)
    with pytest.raises(RuntimeError, match="no loss today"):
        train.run(configure("task=matting", *SHORT, *TINY["matting"]), folder)
    (first,) = find_runs(tmp_path)
    # Parts are named by the second: what the first attempt left is made older.
    first = first.parent.rename(first.parents[1] / first.parent.name.replace("run-2", "run-1")) / first.name
    resume = f"resume='{folder.checkpoints / 'last.ckpt'}'"
    train.run(configure("task=matting", resume, *SHORT, *TINY["matting"]), folder)
    shutil.copytree(folder.path / "wandb", tmp_path / "copied", symlinks=True)
    (expected,), (run,) = load_runs([folder.path]), load_runs([tmp_path / "copied"])
    assert [step for step, _ in run.history] == [2, 4]
    assert (run.history, run.best, run.last) == (list(expected.history), expected.best, expected.last)
    assert (run.status, run.config, run.params) == ("finished", expected.config, expected.params)
    (cut,) = load_runs([first])
    assert (cut.status, cut.error) == ("failed", "exit code 1; W&B holds no message")


def test_what_is_no_run_of_ours_is_told(tmp_path: Path) -> None:
    file = tmp_path / "offline-run-20260101_000000-a" / "run-a.wandb"
    file.parent.mkdir()
    for content, words in ((b"text", "not a W&B run"), (b":W&B\xe1\xbe\x00", "ended before W&B wrote one")):
        file.write_bytes(content)
        (run,) = load_runs([tmp_path])
        assert run.status == "unreadable"
        assert words in run.error
    (tmp_path / "notes.txt").write_text("")
    expected = "a run, a folder with runs in it, an archive of runs, or a file run-<id>"
    with pytest.raises(ValueError, match=rf"notes\.txt'.*expected {expected}"):
        load_runs([tmp_path / "notes.txt"])
