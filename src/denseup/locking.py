"""Locks between processes that end with the process, however it ends."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def locked(path: Path, wait: bool) -> Iterator[bool]:
    """Hold a file, which is made if need be; the value is whether it is held.

    Args:
        path: in a folder that exists.
        wait: until whoever holds it lets it go; else False comes back at once.

    Without such locks (Windows) it always is.
    """
    try:
        import fcntl
    except ImportError:
        yield True
        return
    with path.open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            yield False
            return
        yield True
