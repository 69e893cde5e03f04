"""The process of one job: its command line, environment and end."""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig

from denseup.cli.quoting import quoted
from denseup.engine import RunFolder
from denseup.engine.masking import mask_files
from denseup.engine.processes import is_rank_zero
from denseup.engine.together import FIRST, follow_the_first

PARENT = "DENSEUP_SWEEP_PARENT"
CLONE = "DENSEUP_CLONE"
"""The clone whose `python -m src.…` was called, with the library beside it; `src/__init__.py` sets it."""
DIED_WITH_ITS_PARENT = 143
PATIENCE = 30.0
"""Seconds for a job to end that was told to."""


def run_process(folder: RunFolder, checkpoint: Path | None, devices: Any, changes: Sequence[str]) -> int:
    """Train in a process of its own, which dies with this one; its exit code."""
    given = [*HydraConfig.get().overrides.task, *changes]
    overrides = [*_last_of_each(given), "hydra.run.dir=" + quoted(str(folder.path.resolve()), "'")]
    if checkpoint is not None:
        overrides.append("resume=" + quoted(str(checkpoint.resolve()), "'"))
    environment = _share_of_cores(devices if isinstance(devices, int) else 1) | os.environ | {PARENT: str(os.getpid())}
    environment["PYTHONPATH"] = search_path(with_sources=False)
    folder.make()
    with (folder.path / "output.log").open("a") as output:
        module, where = _program()
        command = [sys.executable, "-m", module, *_config_folders(), *overrides]
        try:
            code = _finished(
                subprocess.Popen(
                    command,
                    cwd=where,
                    env=environment,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    stdin=subprocess.DEVNULL,
                )
            )
        finally:
            mask_files(folder.path)  # output.log, in which other libraries may have said them
    return code


def _finished(process: "subprocess.Popen[bytes]") -> int:
    """Wait for a process, which is ended if this one is: it writes down how far it has come."""
    try:
        return process.wait()
    except BaseException:
        process.terminate()
        try:
            process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        raise


def _last_of_each(overrides: Sequence[str]) -> list[str]:
    """Overrides without those that a later one of the same key replaces."""
    return list({override.partition("=")[0]: override for override in overrides}.values())


def _config_folders() -> list[str]:
    """The flags that bring configs of one's own: --config-dir, and the search path."""
    hydra = HydraConfig.get()
    folders = [source.path for source in hydra.runtime.config_sources if source.provider == "command-line"]
    flags = ["--config-dir", folders[0]] if folders else []
    return [*flags, *(override for override in hydra.overrides.hydra if override.startswith("hydra.searchpath="))]


def _program() -> tuple[str, Path | None]:
    """The module that trains, of this very installation, and the folder to start it in; None: where this process is."""
    clone = os.environ.get(CLONE)
    return ("denseup.cli.train", None) if clone is None else ("src.train", Path(clone))


def search_path(with_sources: bool) -> str:
    """PYTHONPATH with or without the sources of the clone whose sweep this is, before what is there already.

    A launcher's processes need them, to import this denseup and no other that is installed. A training finds it by
    `src`, and must not take the clone's train.py, evaluate.py, ... for packages of these names.
    """
    there = [part for part in os.environ.get("PYTHONPATH", "").split(os.pathsep) if part]
    clone = os.environ.get(CLONE)
    if clone is None:
        return os.pathsep.join(there)
    sources = str(Path(clone, "src"))
    others = [part for part in there if part != sources]
    return os.pathsep.join([sources, *others] if with_sources else others)


def _share_of_cores(processes: int) -> dict[str, str]:
    """Threads of a process where jobs run side by side: OpenMP threads that share a core slow each other tenfold."""
    launcher = HydraConfig.get().launcher
    if launcher.get("n_jobs") is None:
        return {}
    cores = os.cpu_count() or 1
    jobs = launcher.n_jobs if launcher.n_jobs > 0 else cores
    return {"OMP_NUM_THREADS": str(max(1, cores // (jobs * max(1, processes))))}


def die_with_parent(folder: RunFolder) -> None:
    """In the process of a job: end when the sweep ends, even if that is killed. Linux has a call for it.

    The further processes of a run on several devices are children of its first one, and end with that
    (`engine.together`); or of whatever else has started them all.
    """
    parent = os.environ.get(PARENT)
    if not is_rank_zero():
        if FIRST in os.environ:
            follow_the_first(folder, tell=parent is None)  # else the sweep tells
            return
        parent = str(os.getppid())
    if parent is None or not sys.platform.startswith("linux"):
        return
    import ctypes
    import signal

    ctypes.CDLL(None).prctl(1, signal.SIGKILL)
    if os.getppid() != int(parent):
        sys.exit(DIED_WITH_ITS_PARENT)
