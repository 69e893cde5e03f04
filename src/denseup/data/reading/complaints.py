"""What is wrong with the files of a folder: an error at once, or a list for whoever wants to hear of all of it."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path

from denseup.data.reading.decoding import DataError


@dataclass
class Complaints:
    """What looking files up has found.

    Attributes:
        problems: lines that are an error elsewhere, each naming a file or folder.
        remarks: files that are there and used for nothing, with the reason.
    """

    problems: list[str] = field(default_factory=list)
    remarks: list[tuple[Path, str]] = field(default_factory=list)


_heard: ContextVar[Complaints | None] = ContextVar("complaints", default=None)


@contextmanager
def keep_complaints() -> Iterator[Complaints]:
    """Within it `complain` adds to a list, and data sets leave out what they complain of."""
    heard = Complaints()
    token = _heard.set(heard)
    try:
        yield heard
    finally:
        _heard.reset(token)


def complain(message: str, each: list[str] | None = None) -> None:
    """Raise a `DataError` with the message; where complaints are kept, keep it, or a line for `each` file instead."""
    heard = _heard.get()
    if heard is None:
        raise DataError(message)
    heard.problems += [message] if each is None else each


def remark(path: Path, reason: str) -> None:
    """Say something of a file that is no error; nobody hears it but those who keep complaints."""
    heard = _heard.get()
    if heard is not None:
        heard.remarks.append((path, reason))
