"""Where one of several processes is gone the others end, and one of them says which: without a training, by itself.

Whole runs with a killed process: `test_killed_processes.py`.
"""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch.distributed as dist
from processes import GUARD, wait_for

from denseup.cli.config import record_failure
from denseup.engine import RunFolder, together
from denseup.engine.processes import how_it_ended
from denseup.engine.state import lock_run, note_death, read_result
from denseup.engine.together import (
    FIRST,
    FOLLOWER,
    LIGHTNINGS,
    LostProcessError,
    Watch,
    is_of_communication,
    training_together,
)

GLOO = "[/pytorch/third_party/gloo/gloo/transport/tcp/pair.cc:553] Connection closed by peer [127.0.0.1]:397"
KILLED = r"rank 1 of 3 \(process \d+\) was killed by signal 9 \(SIGKILL\), and the others were ended; "


def with_procs(*children: subprocess.Popen) -> Any:
    """Lightning's launcher of a strategy, as far as it is looked at."""
    return SimpleNamespace(procs=list(children))


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    """Of a run that is going on."""
    made = RunFolder(tmp_path / "run")
    made.make()
    made.write_result({"task": "matting", "status": "running"})
    return made


@pytest.fixture
def launcher() -> Iterator[Any]:
    """With two children, ranks 1 and 2."""
    waiting = [sys.executable, "-c", "import time; time.sleep(600)"]
    children = [subprocess.Popen(waiting) for _ in range(2)]
    yield with_procs(*children)
    for child in children:
        child.kill()
        child.wait()


@pytest.fixture
def exits(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Exit codes with which this process would have ended at once."""
    codes: list[int] = []
    monkeypatch.setattr(together.os, "_exit", codes.append)
    monkeypatch.setattr(together, "INTERVAL", 0.01)
    return codes


def test_an_error_for_want_of_a_killed_process_says_which(folder: RunFolder, launcher: Any) -> None:
    first, second = launcher.procs
    first.kill()
    words = KILLED + "it has kept no checkpoint yet"
    with pytest.raises(LostProcessError, match=words) as found, training_together(launcher, folder):
        raise RuntimeError(GLOO)
    assert found.value.killed
    assert second.wait(GUARD) == -signal.SIGKILL
    record_failure(folder, found.value, None)
    assert read_result(folder)["status"] == "killed"


@pytest.mark.parametrize("name", ["last.ckpt", "last-1.ckpt"])
def test_the_checkpoint_that_there_is_is_named(name: str, folder: RunFolder, launcher: Any) -> None:
    folder.checkpoints.mkdir()
    (folder.checkpoints / name).touch()
    launcher.procs[0].kill()
    words = f"with resume='{folder.checkpoints / name}' goes on from its last checkpoint"
    with pytest.raises(LostProcessError, match=words), training_together(launcher, folder):
        raise RuntimeError(GLOO)


def test_one_that_failed_by_itself_is_not_one_that_was_killed(folder: RunFolder) -> None:
    """It has said why; the run has failed, and is not to be resumed."""
    child = subprocess.Popen([sys.executable, "-c", "raise SystemExit(1)"])
    folder.write_result({"status": "failed", "error": "ValueError: width is odd"})
    words = r"rank 1 of 2 .* ended with exit code 1: ValueError: width is odd"
    with pytest.raises(LostProcessError, match=words) as found, training_together(with_procs(child), folder):
        raise RuntimeError(GLOO)
    record_failure(folder, found.value, None)
    assert read_result(folder) == {"status": "failed", "error": "ValueError: width is odd"}


def test_errors_of_ones_own_stay(folder: RunFolder, launcher: Any) -> None:
    with pytest.raises(ValueError, match=r"^width is odd$"), training_together(launcher, folder):
        raise ValueError("width is odd")
    with training_together(None, folder):
        pass
    assert FIRST not in os.environ


def test_without_children_the_connection_is_named(folder: RunFolder) -> None:
    """Processes that something else has started: torchrun, SLURM."""
    words = r"another process of the run is gone.*Connection closed"
    with pytest.raises(LostProcessError, match=words) as found, training_together(with_procs(), folder):
        raise RuntimeError(GLOO)
    assert found.value.killed


def test_a_process_that_does_not_notice_is_ended(
    folder: RunFolder, launcher: Any, exits: list[int], capfd: pytest.CaptureFixture[str]
) -> None:
    """While it waits in NCCL, or for the others to come."""
    with Watch(launcher, folder, patience=0.05):
        launcher.procs[0].send_signal(signal.SIGSEGV)
        wait_for(lambda: exits)
    assert exits[0] == 1
    assert "rank 1 of 3" in capfd.readouterr().err
    assert "was killed by signal 11 (SIGSEGV)" in read_result(folder)["error"]
    assert read_result(folder)["status"] == "killed"
    assert "rank 1 of 3" in folder.error.read_text()


def test_one_that_ends_anyway_is_given_time(
    folder: RunFolder, launcher: Any, exits: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """After Ctrl-C all processes end, each at its pace: no one's death is noted, and loggers are closed meanwhile."""
    monkeypatch.setattr(together, "LONGEST", 600.0)
    launcher.procs[0].kill()
    with Watch(launcher, folder, ending=lambda: True, patience=0.05):
        launcher.procs[0].wait()
        time.sleep(0.3)  # six times its patience: what is to be seen is that nothing happens
    assert exits == []
    assert read_result(folder)["status"] == "running"


def test_lightnings_own_watch_has_nothing_to_see(folder: RunFolder, launcher: Any, exits: list[int]) -> None:
    """It would kill the first process without a word: it reads the list that it was given."""
    lightnings, children = launcher.procs, list(launcher.procs)
    done = threading.Event()
    threading.Thread(target=done.wait, name=LIGHTNINGS, daemon=True).start()
    with Watch(launcher, folder):
        wait_for(lambda: lightnings == [])
        assert launcher.procs == children
    done.set()


def test_lightning_still_watches_as_is_assumed() -> None:
    """The thread's name, the list that it reads, and what it does with an empty one."""
    from lightning_fabric.strategies.launchers.subprocess_script import _ChildProcessObserver

    observer = _ChildProcessObserver(main_pid=0, child_processes=[])
    assert observer.name == LIGHTNINGS
    assert observer._run()
    assert observer._sleep_period >= 4 * together.INTERVAL


@pytest.mark.parametrize("tell", [True, False])
def test_others_end_with_the_first(
    folder: RunFolder, exits: list[int], monkeypatch: pytest.MonkeyPatch, tell: bool
) -> None:
    """Also where it died before they looked for the first time; in a sweep that tells of it they are silent."""
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    monkeypatch.setenv(FIRST, str(gone.pid))
    together.follow_the_first(folder, tell)
    wait_for(lambda: exits)
    assert exits == [together.DIED_WITH_THE_FIRST]
    wait_for(lambda: all(thread.name != FOLLOWER for thread in threading.enumerate()))
    result = read_result(folder)
    assert result["status"] == ("killed" if tell else "running")
    assert result.get("error", "").startswith(f"rank 0 (process {gone.pid}) died without a word" if tell else "")


def test_a_first_process_that_has_spoken_or_is_replaced_is_left_alone(folder: RunFolder) -> None:
    with lock_run(folder):  # of the next run in this folder
        together._note_the_first(1, folder)
    assert read_result(folder)["status"] == "running"
    for said in ("finished", "failed", "killed"):
        folder.write_result({"status": said})
        together._note_the_first(1, folder)
        assert read_result(folder) == {"status": said}


def test_a_sweep_keeps_what_the_first_process_said(folder: RunFolder) -> None:
    folder.write_error(LostProcessError("rank 1 was killed"))
    folder.write_result({"status": "killed", "error": "rank 1 was killed"})
    note_death(folder, 1, {}, several=True)
    assert read_result(folder)["error"] == "rank 1 was killed"
    note_death(folder, -9, {}, several=True)
    assert read_result(folder)["error"] == "rank 0, the first of the processes: killed by signal 9"


def test_a_process_that_lost_the_first_does_not_speak_for_it(
    folder: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(together, "is_rank_zero", lambda: False)
    monkeypatch.setattr("denseup.cli.config.is_rank_zero", lambda: False)
    with pytest.raises(LostProcessError) as found, training_together(with_procs(), folder):
        raise RuntimeError(GLOO)
    record_failure(folder, found.value, None)
    assert read_result(folder)["status"] == "running"
    with pytest.raises(ValueError, match=r"^width"), training_together(with_procs(), folder):
        raise ValueError("width is odd")


def test_a_process_that_notices_at_once_has_the_death_of_the_first_noted(
    folder: RunFolder, exits: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A closed connection tells of it before anyone has looked; only what ends the process knows what to say."""
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    monkeypatch.setenv(FIRST, str(gone.pid))
    monkeypatch.setattr(together, "is_rank_zero", lambda: False)
    noting = together._note_the_first
    monkeypatch.setattr(together, "_note_the_first", lambda *given: (time.sleep(0.2), noting(*given)))
    with pytest.raises(LostProcessError), training_together(with_procs(), folder):
        raise RuntimeError(GLOO)
    assert exits == [together.DIED_WITH_THE_FIRST]
    assert read_result(folder)["status"] == "killed"


def test_what_is_an_error_of_communication() -> None:
    told = ["NCCL communicator was aborted on rank 1", GLOO, "[c10d] The client socket has failed"]
    assert all(is_of_communication(RuntimeError(text)) for text in told)
    assert is_of_communication(dist.DistBackendError("timed out")) if hasattr(dist, "DistBackendError") else True
    follows = KeyError("metrics")
    follows.__context__ = RuntimeError(GLOO)
    assert is_of_communication(follows)
    assert not is_of_communication(ValueError("a glooming sky"))
    assert not is_of_communication(RuntimeError("mat1 and mat2 shapes cannot be multiplied"))
    assert how_it_ended(-9) == "was killed by signal 9 (SIGKILL)"
    assert how_it_ended(-300) == "was killed by signal 300"
    assert how_it_ended(3) == "ended with exit code 3"
