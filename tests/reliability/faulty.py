"""Faults of the machine, made: a limit of the system for files, no permission, commands that get signals."""

import ctypes
import os
import resource
import signal
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from processes import GUARD, ROOT, wait_for

TESTS = Path(__file__).parent.parent
PR_CAPBSET_DROP, CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH = 24, 1, 2
SMALL = [
    *("task=matting", "upsampler=nearest", "encoder=matting_small", "recipe=matting_scratch", "model.width=8"),
    *("trainer=short", "trainer.limit_val_batches=1", "data.batch_size=2", "data.crop_size=64", "data.image_size=64"),
    *("logger=csv", "data.val_length=1"),
]
"""A training of four steps."""


@contextmanager
def files_up_to(size: int) -> Iterator[None]:
    """A system that lets no file of this process grow beyond so many bytes: EFBIG, as a full disk gives ENOSPC."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@contextmanager
def read_only(folder: Path) -> Iterator[None]:
    """A folder that nobody may write to, who has not the rights of root (`as_nobody`)."""
    folder.chmod(stat.S_IRUSR | stat.S_IXUSR)
    try:
        yield
    finally:
        folder.chmod(stat.S_IRWXU)


def as_nobody() -> None:
    """In a process to be: permissions count for root too."""
    if os.geteuid() == 0:
        for right in (CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH):
            ctypes.CDLL(None).prctl(PR_CAPBSET_DROP, right, 0, 0, 0)


class Command:
    """A command of ours in a process of its own, whose words and end are looked at.

    Args:
        words: after `python`.
        output: file for what it says.
        before: called in the process to be.
        environment: more of it.
    """

    def __init__(
        self,
        *words: str,
        output: Path,
        before: Callable[[], None] = lambda: None,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.output = output
        path = os.pathsep.join([str(TESTS), os.environ.get("PYTHONPATH", "")])

        def prepare() -> None:
            signal.signal(signal.SIGINT, signal.SIG_DFL)  # which a shell's background ignores
            before()

        with output.open("w") as file:
            self.process = subprocess.Popen(
                [sys.executable, *words],
                cwd=ROOT,
                env=os.environ | {"PYTHONPATH": path} | dict(environment or {}),
                stdout=file,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                preexec_fn=prepare,
                start_new_session=True,
            )

    def waits_for(self, condition: Callable[[], object]) -> None:
        """Wait until something holds while the command runs."""
        wait_for(lambda: condition() or self.process.poll() is not None)
        assert self.process.poll() is None, self.said

    def says(self, words: str) -> None:
        """Wait until it has said something."""
        self.waits_for(lambda: words in self.said)

    def signalled(self, number: int, group: bool = False) -> int:
        """Send a signal, as Ctrl-C to all its processes if asked; the exit code."""
        if group:
            with suppress(ProcessLookupError):  # it has ended already
                os.killpg(self.process.pid, number)
        else:
            self.process.send_signal(number)
        return self.ended()

    def ended(self) -> int:
        """Its exit code; minus a signal."""
        return self.process.wait(GUARD)

    @property
    def said(self) -> str:
        """On both streams."""
        return self.output.read_text()
