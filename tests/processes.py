"""Other processes that tests start and wait for. A wait is a guard against hanging, never a verdict on speed."""

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

ROOT = Path(__file__).parent.parent
GUARD = 600
"""Seconds after which something hangs, on however slow and busy a machine."""
_WAITS = ("INIT_TIMEOUT", "FINISH_TIMEOUT", "_SERVICE_WAIT", "HTTP_TIMEOUT", "FILE_PUSHER_TIMEOUT")
PATIENCE = {f"WANDB_{name}": str(GUARD) for name in _WAITS}
"""Environment of W&B's client, which otherwise gives its own service up after half a minute."""


def python(*arguments: str, env: Mapping[str, str] | None = None, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    """Run Python to its end, with what it prints."""
    command = [sys.executable, *arguments]
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd, env=env, timeout=GUARD, check=False)


def started(*arguments: str, env: Mapping[str, str] | None = None) -> subprocess.Popen[str]:
    """Start Python and go on. It heeds SIGINT, also where the tests themselves run in the background of a shell."""
    quiet = subprocess.DEVNULL
    return subprocess.Popen(
        [sys.executable, *arguments], cwd=ROOT, env=env, stdout=quiet, stderr=quiet, text=True, preexec_fn=_heed_ctrl_c
    )


def _heed_ctrl_c() -> None:
    """What a shell starts in the background inherits that SIGINT is ignored."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def wait_for(condition: Callable[[], object]) -> None:
    """Wait until something holds."""
    end = time.monotonic() + GUARD
    while not condition():
        assert time.monotonic() < end, "this hangs"
        time.sleep(0.05)


def processes_of(folder: Path) -> list[int]:
    """Process ids of the job that trains in a run folder, the first of several first. Reads /proc."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            words = (process / "cmdline").read_bytes().decode().split("\0")
        except OSError:
            continue
        if any(word.startswith("hydra.run.dir=") and str(folder.resolve()) in word for word in words):
            found.append(int(process.name))
    return sorted(found)
