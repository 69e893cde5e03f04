"""Other processes that tests start and wait for. A wait is a guard against hanging, never a verdict on speed."""

import atexit
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from functools import cache
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


class _Template:
    """A process that has imported what our commands import, seconds of every start: they run in copies of it.

    A copy has the words, environment and streams of a process of its own. What acts as Python starts, `AT_START`, is
    the template's.
    """

    PROGRAM = """
import json, os, runpy, signal, sys
from denseup.cli.importing import quick_imports
with quick_imports():
    import pytorch_lightning
for line in sys.stdin:
    words, environment, cwd, files, guard = json.loads(line)
    if not (process := os.fork()):
        break
    print(os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]), flush=True)
else:
    sys.exit()
signal.alarm(guard)
for stream, file in enumerate([os.devnull, *files]):
    os.dup2(os.open(file, os.O_RDWR | os.O_CREAT), stream)
os.environ.clear()
os.environ.update(environment)
os.chdir(cwd)
sys.argv, sys.orig_argv = words, [sys.executable, "-m", *words]
runpy.run_module(words[0], run_name="__main__", alter_sys=True)
"""
    AT_START = ("PYTHON", "LD_", "OMP_", "MKL_", "KMP_", "NUMBA_", "CUDA_", "TORCH")

    def __init__(self) -> None:
        self.at_start = self._of_start(os.environ)
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(
            [sys.executable, "-c", self.PROGRAM], cwd=ROOT, stdin=pipe, stdout=pipe, text=True, bufsize=1
        )
        atexit.register(self.end)

    def end(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait(GUARD)

    def can_run(self, environment: Mapping[str, str]) -> bool:
        """Whether the environment differs in nothing that acts as Python starts."""
        return self._of_start(environment) == self.at_start and self.process.poll() is None

    def run(self, words: Sequence[str], environment: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        with tempfile.TemporaryDirectory() as folder:
            files = [Path(folder, name) for name in ("out", "err")]
            job = [*words], {**environment}, str(ROOT), [*map(str, files)], GUARD
            self.process.stdin.write(json.dumps(job) + "\n")
            code = int(self.process.stdout.readline())
            if code == -signal.SIGALRM:
                raise subprocess.TimeoutExpired([*words], GUARD)
            return subprocess.CompletedProcess([*words], code, *(file.read_text() for file in files))

    def _of_start(self, environment: Mapping[str, str]) -> dict[str, str]:
        return {name: value for name, value in environment.items() if name.startswith(self.AT_START)}


_template = cache(_Template)


def python_module(*words: str, env: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """`python -m WORDS` to its end, with what it prints, sooner than `python` where a copy of the template can do it.

    For tests of what a command does; what it does as it starts needs a process of its own.
    """
    environment = os.environ if env is None else env
    if hasattr(os, "fork") and _template().can_run(environment):
        return _template().run(words, environment)
    return python("-m", *words, env=env)


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
    return processes_with(str(folder.resolve()), "hydra.run.dir=")


def processes_with(text: str, start: str = "") -> list[int]:
    """Process ids in whose command line a word with this start holds a text. Reads /proc."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            words = (process / "cmdline").read_bytes().decode(errors="replace").split("\0")
        except OSError:
            continue
        if any(word.startswith(start) and text in word for word in words):
            found.append(int(process.name))
    return sorted(found)
