"""The processes that train one run on several devices: where one dies all end, and it is said which, and how to go on.

Lightning's DDP starts them: the first one (rank 0) is the command's own, the others are its children. A process that
waits for a dead one may wait for half an hour (while they meet, or in NCCL), or is told of a closed connection. So the
first looks at its children, and they at the first.
"""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from denseup.engine.checkpoint_files import kept
from denseup.engine.folder import RunFolder, write_atomic
from denseup.engine.processes import how_it_ended, is_rank_zero
from denseup.engine.state import FolderInUseError, lock_run, read_result

FIRST = "DENSEUP_FIRST_PROCESS"
"""Process id of rank 0, for those that it starts."""
DIED_WITH_THE_FIRST = 143
INTERVAL = 0.5
"""Seconds between two looks."""
PATIENCE = 10.0
"""Seconds in which a process may notice by itself that another one is gone, before it is ended."""
LONGEST = 40.0
"""Seconds more for one that has noticed something, and closes what it has open."""
FOLLOWER = "follows-rank-0"
"""Name of the thread that does."""
LIGHTNINGS = "child-process-observer"
"""Name of the thread in which Lightning watches what it has started."""
WORDS = ("gloo", "NCCL", "ProcessGroup", "c10d", "TCPStore")
"""In the errors of processes that talk to one another, whatever their class."""


class LostProcessError(ValueError):
    """Another process of the run is gone.

    Args:
        message: which, how, and what can be done.
        killed: whether the run could go on from where it was; else a process failed by itself.
    """

    def __init__(self, message: str, killed: bool = False) -> None:
        super().__init__(message)
        self.killed = killed


def _advice(folder: RunFolder) -> str:
    """What to do after a run was killed; whichever command has started it."""
    found = kept(folder.checkpoints)
    if not found:
        return "it has kept no checkpoint yet: the same command starts it anew"
    return f"the same command with resume='{found[0]}' goes on from its last checkpoint, that of a sweep as it is"


def is_of_communication(error: BaseException | None) -> bool:
    """Whether an error, or one that it comes from, is of processes that talk to one another."""
    while error is not None:
        kind = type(error)
        if isinstance(error, RuntimeError) and (
            kind.__name__.startswith("Dist") or any(word in str(error) for word in WORDS)
        ):
            return True
        error = error.__cause__ or error.__context__
    return False


def follow_the_first(folder: RunFolder, tell: bool = True) -> None:
    """In a process that rank 0 has started: end as soon as that one has, and note its death if it left no word.

    Args:
        folder: of the run.
        tell: whether to note and print it; else only to end.
    """
    first = os.environ.get(FIRST)
    if first is None or any(thread.name == FOLLOWER for thread in threading.enumerate()):
        return
    threading.Thread(target=_follow, args=(int(first), folder, tell), daemon=True, name=FOLLOWER).start()


def _follow(first: int, folder: RunFolder, tell: bool) -> None:
    while os.getppid() == first:
        time.sleep(INTERVAL)
    try:
        if tell:
            _note_the_first(first, folder)
    finally:
        os._exit(DIED_WITH_THE_FIRST)


def _note_the_first(first: int, folder: RunFolder) -> None:
    """Write down that rank 0 died, unless it has spoken of its end itself, or another run has the folder by now."""
    how = "died without a word; its exit code tells by which signal"
    words = f"rank 0 (process {first}) {how}, and the others were ended; {_advice(folder)}"
    try:
        with lock_run(folder):
            if read_result(folder).get("status", "running") == "running":
                _note(folder, words)
                print(words, file=sys.stderr, flush=True)
    except FolderInUseError:
        return


def _note(folder: RunFolder, words: str) -> None:
    write_atomic(folder.error, f"{words}\n")
    folder.write_result({**read_result(folder), "status": "killed", "error": words})


@contextmanager
def training_together(launcher: Any, folder: RunFolder, ending: Callable[[], bool] = lambda: False) -> Iterator[None]:
    """Within it a run trains; where one of several processes is lost the others end, by force if need be.

    Args:
        launcher: of Lightning's strategy, whose `procs` are what this process has started; None for one process.
        folder: of the run.
        ending: whether this process has an error of its own already, or Ctrl-C, and is about to end.

    Raises:
        LostProcessError: in place of an error of communication, or of any where another process was killed.
    """
    if launcher is None:
        yield
        return
    with _watched(Watch(launcher, folder, ending)) if is_rank_zero() else _following(folder):
        yield


@contextmanager
def _watched(watch: "Watch") -> Iterator[None]:
    try:
        with watch:
            yield
    except Exception as error:
        lost = watch.lost_by(error)
        if lost is None:
            raise
        raise lost from error


@contextmanager
def _following(folder: RunFolder) -> Iterator[None]:
    follow_the_first(folder)
    try:
        yield
    except Exception as error:
        if not is_of_communication(error):
            raise
        for thread in threading.enumerate():
            if thread.name == FOLLOWER:  # if the first is the one that is gone, it says so, and ends this process
                thread.join(PATIENCE)
        raise LostProcessError("this process lost the others; the first one says why") from error


class Watch:
    """Rank 0's look at the processes that it has started, in a thread of its own.

    Where one has died and this process does not notice in time, it is ended too, its death noted.

    Args:
        launcher, folder, ending: see `training_together`.
        patience: seconds to notice.
    """

    def __init__(
        self,
        launcher: Any,
        folder: RunFolder,
        ending: Callable[[], bool] = lambda: False,
        patience: float = PATIENCE,
    ) -> None:
        self.launcher, self.folder, self.ending, self.patience = launcher, folder, ending, patience
        self._noticed = threading.Event()

    def __enter__(self) -> "Watch":
        os.environ[FIRST] = str(os.getpid())
        threading.Thread(target=self._look, daemon=True, name="looks-after-ranks").start()
        return self

    def __exit__(self, *error: Any) -> None:
        self._noticed.set()
        os.environ.pop(FIRST, None)

    def lost_by(self, error: Exception) -> LostProcessError | None:
        """What an error of this process is about, if it is that another one is gone; the others are ended then."""
        talked = is_of_communication(error)
        end = time.monotonic() + (self.patience if talked and self._children() else 0)
        while (lost := self._lost()) is None and time.monotonic() < end:
            time.sleep(INTERVAL / 10)
        if lost is None and talked:
            words = f"another process of the run is gone, or can't be reached ({error}); {_advice(self.folder)}"
            lost = LostProcessError(words, killed=True)
        if lost is None or not (talked or lost.killed):
            return None
        self._end_the_others()
        return lost

    def _look(self) -> None:
        while not self._noticed.wait(INTERVAL):
            if any(thread.name == LIGHTNINGS for thread in threading.enumerate()):
                self._take_over()
            lost = self._lost()
            if lost is not None:
                self._wait_and_end(lost)

    def _wait_and_end(self, lost: LostProcessError) -> None:
        """Note the death at once, wait, and end all. After Ctrl-C they all end, and no one's death is to be noted."""
        if not self.ending() and (lost.killed or read_result(self.folder).get("status") == "running"):
            _note(self.folder, str(lost))
        if self._noticed.wait(self.patience) or (self.ending() and self._noticed.wait(LONGEST)):
            return
        print(lost, file=sys.stderr, flush=True)
        self._end_the_others()
        os._exit(1)

    def _children(self) -> list[subprocess.Popen]:
        return list(getattr(self.launcher, "procs", ()))

    def _lost(self) -> LostProcessError | None:
        """The child that died; rather one that was killed than one that failed, which may be for want of the other."""
        children = self._children()
        died = [(code, rank) for rank, child in enumerate(children, 1) if (code := child.poll())]
        if not died:
            return None
        code, rank = min(died)
        what = f"rank {rank} of {len(children) + 1} (process {children[rank - 1].pid}) {how_it_ended(code)}"
        if code < 0:
            return LostProcessError(f"{what}, and the others were ended; {_advice(self.folder)}", killed=True)
        said = read_result(self.folder).get("error")
        return LostProcessError(f"{what}: {said}" if said else what)

    def _take_over(self) -> None:
        """Show an empty list to Lightning's own watch, which would kill this process before it could say anything.

        It looks for the first time five seconds after all processes are started, and then never again.
        """
        children = self._children()
        self.launcher.procs.clear()
        self.launcher.procs = children

    def _end_the_others(self) -> None:
        for child in self._children():
            child.kill()
