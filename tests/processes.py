"""Other processes that tests start and wait for. A wait is a guard against hanging, never a verdict on speed."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
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


_FORKING = """
import json, os, runpy, sys
from denseup.cli.importing import quick_imports
with quick_imports():
    import pytorch_lightning
codes = []
for words, files in json.load(sys.stdin):
    if not (process := os.fork()):
        break
    codes.append(os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]))
else:
    print(json.dumps(codes))
    sys.exit()
for stream, file in enumerate([os.devnull, *files]):
    os.dup2(os.open(file, os.O_RDWR | os.O_CREAT), stream)
sys.argv = words
runpy.run_module(words[0], run_name="__main__", alter_sys=True)
"""


def python_modules(
    commands: Sequence[Sequence[str]], folder: Path, cwd: Path = ROOT
) -> list[subprocess.CompletedProcess[str]]:
    """`python -m …` for each of several commands, to their ends: in copies of one process that has imported Lightning.

    So its imports, seconds of every start, are paid once. `folder` is for what the commands print.
    """
    files = [(folder / f"{number}.out", folder / f"{number}.err") for number in range(len(commands))]
    jobs = [([*words], [str(file) for file in pair]) for words, pair in zip(commands, files, strict=True)]
    done = subprocess.run(
        [sys.executable, "-c", _FORKING], input=json.dumps(jobs), stdout=subprocess.PIPE, text=True, cwd=cwd, check=True
    )
    ends = zip(commands, json.loads(done.stdout), files, strict=True)
    return [
        subprocess.CompletedProcess([*words], code, out.read_text(), err.read_text())
        for words, code, (out, err) in ends
    ]


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
