"""Where a run stands, told from its folder alone: what a repeated command has to do with it."""

import json
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

from denseup.engine.checkpoint_files import NothingWholeError, kept, newest_whole
from denseup.engine.folder import RunFolder, config_hash, write_atomic
from denseup.faults import MachineError
from denseup.locking import holder, locked
from denseup.writing import remove_left

State = Literal["new", "finished", "interrupted", "failed"]
Action = Literal["start", "skip", "resume"]
RERUN = (None, "failed", "all")
STAYS_INTERRUPTED = (KeyboardInterrupt, SystemExit, MachineError, NothingWholeError)
"""What ends a run that can be gone on with; Lightning makes a SystemExit of Ctrl-C."""


class RefusedFolderError(ValueError):
    """The folder is another run's: nothing in it may be touched, not even to note the refusal."""


class FolderInUseError(RefusedFolderError):
    """Another process is running in the folder."""


def read_result(folder: RunFolder) -> dict[str, Any]:
    """result.json; {} where there is none or it is broken."""
    try:
        found = json.loads(folder.result.read_text())
    except (OSError, json.JSONDecodeError):
        return {}
    return found if isinstance(found, dict) else {}


def state(folder: RunFolder, config: dict[str, Any]) -> State:
    """How a run of this config stands; a folder of another config is "new", for nothing in it can be used.

    "interrupted" is a run that neither finished nor failed by itself: its process was killed, or is still running.
    """
    result = read_result(folder)
    if result.get("config_hash") != config_hash(config):
        return "new"
    if result["status"] in ("running", "killed"):
        return "interrupted"
    return "finished" if result["status"] == "finished" else "failed"


def plan(folder: RunFolder, config: dict[str, Any], rerun: str | None = None) -> tuple[Action, Path | None]:
    """What to do with a run, and the checkpoint to go on from.

    Args:
        folder: of the run.
        config: what is asked for.
        rerun: None skips finished runs, resumes interrupted ones and retries failed ones; "failed" starts failed and
            interrupted ones from nothing; "all" starts every run from nothing.

    Returns:
        "resume" comes with the newest checkpoint that is whole; a warning says what is wrong with newer ones.

    Raises:
        ValueError: another value of rerun; of the checkpoints of an interrupted run none is whole (NothingWholeError).
    """
    if rerun not in RERUN:
        raise ValueError(f"sweep.rerun is {rerun!r}, valid: null, failed, all")
    now = state(folder, config)
    if rerun == "all" or now == "new":
        return "start", None
    if now == "finished":
        return "skip", None
    left = kept(folder.checkpoints)
    if rerun is None and now == "interrupted" and left:
        found, problems = newest_whole(left[0])
        if problems:
            warnings.warn(f"{'; '.join(problems)}; the run goes on from {found}", stacklevel=2)
        return "resume", found
    return "start", None


def refuse_others(folder: RunFolder, config: dict[str, Any]) -> None:
    """RefusedFolderError if checkpoints of an unfinished run of another config would be written over.

    Those of a run that failed are no loss. Whose they are without a result.json that can be read, nobody knows.
    """
    result = read_result(folder)
    if kept(folder.checkpoints) and state(folder, config) == "new" and result.get("status") != "failed":
        whose = "of another config, which has not finished" if result else "without a result.json that can be read"
        raise RefusedFolderError(
            f"{folder.path} holds checkpoints of a run {whose}; choose another hydra.run.dir, or remove it; "
            "resume=…/checkpoints/last.ckpt goes on from it all the same"
        )


def note_death(folder: RunFolder, exit_code: int, started: dict[str, Any], several: bool = False) -> None:
    """Write down that the process of a run died without a word: killed, or out of memory.

    Args:
        folder: of the run.
        exit_code: of the process; negative is the signal that ended it.
        started: entries that name the run, for a process that died before it wrote any.
        several: whether it was the first of several processes.
    """
    result = read_result(folder) or started
    told = result.get("status") == "killed" and folder.error.is_file() and exit_code > 0  # which other process was
    if told or result.get("status") in ("failed", "finished"):
        return
    if result.get("status") == "killed" and result.get("error") and exit_code > 0:  # it has said why itself
        return
    how = f"killed by signal {-exit_code}" if exit_code < 0 else f"its process ended with exit code {exit_code}"
    how = f"rank 0, the first of the processes: {how}" if several else how
    write_atomic(folder.error, f"{how}; its output: {folder.path / 'output.log'}\n")
    folder.write_result({**started, **result, "status": "killed", "error": how})


@contextmanager
def lock_run(folder: RunFolder) -> Iterator[None]:
    """Hold a run folder for this process; the operating system lets it go when the process ends, however it ends.

    Half-written files of one that was killed are removed.

    Raises:
        FolderInUseError: another process holds it.
    """
    folder.make()
    lock = folder.path / ".lock"
    with locked(lock, wait=False) as mine:
        if not mine:
            raise FolderInUseError(f"another process is running in {folder.path}{holder(lock)}")
        for part in (folder.path, folder.checkpoints, folder.images, folder.features):
            remove_left(part)
        yield
