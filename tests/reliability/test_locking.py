"""Two runs in one folder: the second is refused by name; what a dead process has left blocks nobody."""

import errno
import fcntl
import os
import signal
from pathlib import Path
from typing import Any

import pytest
from reliability.faulty import SMALL, Command

from denseup.engine import RunFolder
from denseup.engine.state import FolderInUseError, lock_run
from denseup.locking import holder, locked
from denseup.writing import WriteError

HOLD = """
import os, sys, time
from pathlib import Path
from denseup.locking import locked
with locked(Path(sys.argv[1]), wait=False) as mine:
    assert mine
    child = os.fork()
    if not child:
        time.sleep(600)
    print(child, flush=True)
    time.sleep(600)
"""


@pytest.mark.parametrize("left", ["", "1 here", "PID elsewhere", "4294967296 x\nmore", "\0\xff"])
def test_what_is_left_in_a_file_blocks_nobody(left: str, tmp_path: Path) -> None:
    """Of a process that is dead, of one with the number of a living one, of another machine, of nobody."""
    (tmp_path / ".lock").write_text(left.replace("PID", str(os.getpid())), encoding="latin-1")
    with lock_run(RunFolder(tmp_path)):
        assert holder(tmp_path / ".lock") == f" (process {os.getpid()} on {os.uname().nodename})"


def test_a_killed_process_lets_go_though_its_children_live(tmp_path: Path) -> None:
    command = Command("-c", HOLD, str(tmp_path / "lock"), output=tmp_path / "output")
    command.waits_for(lambda: command.said.strip())
    with locked(tmp_path / "lock", wait=False) as mine:
        assert not mine
    assert f"(process {command.process.pid} on " in holder(tmp_path / "lock")
    child = int(command.said)
    assert command.signalled(signal.SIGKILL) == -signal.SIGKILL
    os.kill(child, 0)  # it lives
    with locked(tmp_path / "lock", wait=False) as mine:
        assert mine
    os.kill(child, signal.SIGKILL)


def test_the_second_run_in_a_folder_is_refused_by_name(tmp_path: Path) -> None:
    with lock_run(RunFolder(tmp_path / "run")):
        command = Command("-m", "src.train", *SMALL, f"hydra.run.dir={tmp_path}/run", output=tmp_path / "said")
        assert command.ended() == 1
        assert f"another process is running in {tmp_path}/run (process {os.getpid()} on " in command.said
        assert not (tmp_path / "run" / "result.json").exists()
        with pytest.raises(FolderInUseError), lock_run(RunFolder(tmp_path / "run")):
            pass


def test_a_file_system_without_locks_gets_a_warning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unsupported(*arguments: Any) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", unsupported)
    with pytest.warns(UserWarning, match="has no locks"), locked(tmp_path / "lock", wait=False) as mine:
        assert mine


def test_a_lock_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    with pytest.raises(WriteError, match=r"lock can't be written"), locked(tmp_path / "none" / "lock", wait=True):
        pass


KILLED = """
import os, signal, sys
from pathlib import Path
from denseup.writing import written_whole
with written_whole(Path(sys.argv[1]), with_suffix=sys.argv[2] == "True") as temporary:
    temporary.write_text("half")
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_half_written_files_of_a_killed_process_are_removed(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    for place in (folder.path, folder.checkpoints, folder.images):
        for kind in ("False", "True"):
            killed = Command("-c", KILLED, str(place / "val.png"), kind, output=tmp_path / "output")
            assert killed.ended() == -signal.SIGKILL
        assert len(list(place.glob(".val.*.tmp*"))) == 2
        (place / ".mine.tmp").touch()
    with lock_run(folder):
        assert [path.name for path in tmp_path.rglob(".*.tmp*")] == 3 * [".mine.tmp"]
