"""Locks between processes that end with the process, however it ends."""

import errno
import os
import socket
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from denseup.writing import told

UNSUPPORTED = (errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EINVAL)
"""Of file systems without locks."""

_held: set[int] = set()
"""Files that this process has locked."""


@contextmanager
def locked(path: Path, wait: bool) -> Iterator[bool]:
    """Hold a file, which is made if need be; the value is whether it is held.

    The system lets it go when this process ends; what stands in the file (`holder`) decides nothing, so nothing that is
    left of a dead process, of this machine or another, is ever waited for. Processes that this one has forked, as those
    that load data, do not hold it.

    Args:
        path: in a folder that exists.
        wait: until whoever holds it lets it go; else False comes back at once.

    Raises:
        WriteError: the file can't be made.

    Without such locks it always is: with a warning on a file system that has none, silently on Windows.
    """
    try:
        import fcntl
    except ImportError:
        yield True
        return
    with told(path):
        file = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    _held.add(file)
    try:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            yield False
            return
        except OSError as error:
            if error.errno not in UNSUPPORTED:
                raise
            warnings.warn(f"{path.parent} has no locks: see to it that no other process writes there", stacklevel=3)
        else:
            _sign(file)
        yield True
    finally:
        _held.discard(file)
        os.close(file)


def holder(path: Path) -> str:
    """Who has locked a file last, for a message: " (process 12 on host)"; "" where it does not say."""
    try:
        words = path.read_text().split()
    except (OSError, ValueError):
        return ""
    return f" (process {words[0]} on {words[1]})" if len(words) == 2 else ""


def _sign(file: int) -> None:
    with suppress(OSError):  # a full disk: it is held all the same
        os.ftruncate(file, 0)
        os.pwrite(file, f"{os.getpid()} {socket.gethostname()}\n".encode(), 0)


def _let_go() -> None:
    """In a process that was forked: its copies would hold what its parent holds, also when that is dead."""
    for file in _held:
        os.close(file)
    _held.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_let_go)
