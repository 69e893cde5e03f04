"""What became of a file that was to be made."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from denseup.writing import WriteError


class Built(NamedTuple):
    """A file's status: "built", "kept" (it was there already) or "failed", with the reason.

    "stopped", with the number of the system's error, is one that can't be written: all others would have it too.
    """

    target: Path
    status: str
    reason: str = ""
    number: int = 0


def until_stopped(files: Iterable[Built]) -> Iterator[Built]:
    """The files up to one that can't be written.

    Raises:
        WriteError: there is one.
    """
    for built in files:
        if built.status == "stopped":  # as text, for errors change on their way between processes
            raise WriteError(built.number, built.reason, str(built.target))
        yield built


def not_written(target: Path, error: WriteError) -> Built:
    """What stops the building, unless it is the file's own name."""
    return Built(target, "failed" if error.of_one_name else "stopped", str(error), error.errno or 0)
