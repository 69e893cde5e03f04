"""What a repeated command does with a run, told from the run's folder."""

import json
import multiprocessing
from pathlib import Path
from typing import Any

import pytest

from denseup.engine import RunFolder
from denseup.engine.checkpoint_files import write_checkpoint
from denseup.engine.folder import config_hash
from denseup.engine.state import FolderInUseError, lock_run, note_death, plan, read_result, state

CONFIG = {"task": "matting", "seed": 0}


def folder_with(path: Path, checkpoint: bool = False, **result: Any) -> RunFolder:
    folder = RunFolder(path)
    folder.make()
    folder.write_result({"config_hash": config_hash(CONFIG), **result})
    if checkpoint:
        write_checkpoint({"step": 1}, folder.checkpoints / "last.ckpt")
    return folder


@pytest.mark.parametrize(
    ("status", "checkpoint", "rerun", "expected"),
    [
        ("finished", True, None, "skip"),
        ("finished", True, "failed", "skip"),
        ("finished", True, "all", "start"),
        ("running", True, None, "resume"),
        ("killed", True, None, "resume"),
        ("killed", True, "failed", "start"),
        ("running", False, None, "start"),
        ("failed", True, None, "start"),
    ],
)
def test_plan(tmp_path: Path, status: str, checkpoint: bool, rerun: str | None, expected: str) -> None:
    folder = folder_with(tmp_path, checkpoint, status=status)
    action, resume = plan(folder, CONFIG, rerun)
    assert action == expected
    assert (resume is not None) == (expected == "resume")


def test_a_folder_of_another_config_is_new(tmp_path: Path) -> None:
    folder = folder_with(tmp_path, True, status="finished")
    assert state(folder, CONFIG) == "finished"
    assert plan(folder, {**CONFIG, "seed": 1}) == ("start", None)
    assert state(RunFolder(tmp_path / "nothing"), CONFIG) == "new"
    folder.result.write_text("{ broken")
    assert plan(folder, CONFIG) == ("start", None)


def test_an_unknown_rerun_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="rerun is 'some', valid: null, failed, all"):
        plan(RunFolder(tmp_path), CONFIG, "some")


def test_a_death_is_written_down_once(tmp_path: Path) -> None:
    folder = folder_with(tmp_path, status="running", task="matting")
    note_death(folder, -9, {"task": "other"})
    result = read_result(folder)
    assert (result["status"], result["error"], result["task"]) == ("killed", "killed by signal 9", "matting")
    assert "output.log" in folder.error.read_text()
    folder.write_result({"status": "finished"})
    note_death(folder, -9, {})
    assert json.loads(folder.result.read_text()) == {"status": "finished"}


def test_a_death_before_the_first_word_is_written_down_too(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run")
    note_death(folder, 1, {"task": "matting", "config_hash": "x"})
    assert read_result(folder)["error"] == "its process ended with exit code 1"
    assert read_result(folder)["task"] == "matting"


def hold(path: str, ready: Any, done: Any) -> None:
    with lock_run(RunFolder(path)):
        ready.set()
        done.wait(20)


def test_two_processes_never_share_a_folder(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    ready, done = context.Event(), context.Event()
    process = context.Process(target=hold, args=(str(tmp_path), ready, done))
    process.start()
    assert ready.wait(60)
    with pytest.raises(FolderInUseError, match="another process is running in"), lock_run(RunFolder(tmp_path)):
        pass
    done.set()
    process.join()
    with lock_run(RunFolder(tmp_path)):
        pass
