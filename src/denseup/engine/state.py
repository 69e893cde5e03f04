"""Where a run stands, told from its folder alone: what a repeated command has to do with it."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

from denseup.engine.folder import RunFolder, config_hash, write_atomic
from denseup.locking import holder, locked

State = Literal["new", "finished", "interrupted", "failed"]
Action = Literal["start", "skip", "resume"]
RERUN = (None, "failed", "all")


class FolderInUseError(ValueError):
    """Another process is running in the folder: nothing in it may be touched, not even to note the refusal."""


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

    Raises:
        ValueError: another value of rerun.
    """
    if rerun not in RERUN:
        raise ValueError(f"sweep.rerun is {rerun!r}, valid: null, failed, all")
    now = state(folder, config)
    if rerun == "all" or now == "new":
        return "start", None
    if now == "finished":
        return "skip", None
    last = folder.checkpoints / "last.ckpt"
    if rerun is None and now == "interrupted" and last.is_file():
        return "resume", last
    return "start", None


def note_death(folder: RunFolder, exit_code: int, started: dict[str, Any]) -> None:
    """Write down that the process of a run died without a word: killed, or out of memory.

    Args:
        folder: of the run.
        exit_code: of the process; negative is the signal that ended it.
        started: entries that name the run, for a process that died before it wrote any.
    """
    result = read_result(folder) or started
    if result.get("status") in ("failed", "finished"):
        return
    if result.get("status") == "killed" and result.get("error") and exit_code > 0:  # it has said why itself
        return
    how = f"killed by signal {-exit_code}" if exit_code < 0 else f"its process ended with exit code {exit_code}"
    write_atomic(folder.error, f"{how}; its output: {folder.path / 'output.log'}\n")
    folder.write_result({**started, **result, "status": "killed", "error": how})


@contextmanager
def lock_run(folder: RunFolder) -> Iterator[None]:
    """Hold a run folder for this process; the operating system lets it go when the process ends, however it ends.

    Raises:
        FolderInUseError: another process holds it.
    """
    folder.make()
    lock = folder.path / ".lock"
    with locked(lock, wait=False) as mine:
        if not mine:
            raise FolderInUseError(f"another process is running in {folder.path}{holder(lock)}")
        yield
