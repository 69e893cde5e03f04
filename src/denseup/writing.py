"""Files that appear whole or not at all, and what is said where a disk does not take them."""

import errno
import os
import re
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from denseup.faults import MachineError

REASONS = {
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "the user's share of the disk is used up",
    errno.EFBIG: "it would be larger than the system lets a file be (ulimit -f)",
    errno.EROFS: "the disk is read-only",
    errno.EACCES: "permission is denied",
    errno.EPERM: "permission is denied",
    errno.EIO: "the disk reports an input/output error",
    errno.ENOTDIR: "a part of the path is a file",
    errno.EEXIST: "a file is in its place",
    errno.EISDIR: "a folder is in its place",
    errno.ENAMETOOLONG: "the name is too long",
}
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""After which there is room for another try once something else is removed."""
OF_WRITING = (*FULL, errno.EROFS)
"""Which reading a file never gives."""
OF_ONE_NAME = (errno.ENAMETOOLONG, errno.EILSEQ, errno.EINVAL, errno.EISDIR)
"""Which other files of the folder need not have."""
HINTS = dict.fromkeys(FULL, "make room, then give the same command again")
OTHERWISE = "choose another folder, or see to this one, then give the same command again"
PROBE = bytes(4096)
UNITS = ("bytes", "kB", "MB", "GB", "TB")
PARTIAL = ".partial"
_TEMPORARY = re.compile(r"\.(.+\.)?[0-9a-f]{32}\.tmp(\.[^.]+)?")
"""Names of files that were to take another one's place."""


class WriteError(MachineError, OSError):
    """A file can't be written; the message names it, the reason, the space and what to do. What was there stays."""

    @property
    def of_one_name(self) -> bool:
        """Whether the system refuses this name, or has a folder of it: other files may be written all the same."""
        return self.errno in OF_ONE_NAME

    def __str__(self) -> str:
        """Without the number of the error."""
        return self.strerror or super().__str__()


def write_whole(path: str | os.PathLike[str], content: bytes | str, *, durable: bool = True) -> None:
    """Write a file so that whoever reads the path sees all of it or the one before.

    Args:
        path: its folder is made if need be.
        content: text is written as UTF-8.
        durable: whether that holds after a crash of the machine too, which costs some milliseconds a file.

    Raises:
        WriteError: it can't be written. What was there before is there still.
    """
    data = content.encode() if isinstance(content, str) else content
    with written_whole(Path(path), len(data), durable=durable) as temporary:
        temporary.write_bytes(data)


@contextmanager
def written_whole(
    path: Path, needed: int | None = None, *, durable: bool = True, with_suffix: bool = False
) -> Iterator[Path]:
    """A path beside `path`, whose file takes its place at the end if nothing is raised within.

    Args:
        path: of the file that is wanted.
        needed: bytes, for the message.
        durable: see `write_whole`.
        with_suffix: whether the temporary file has the suffix of the wanted one, for libraries that go by it; without,
            whoever looks for files of the suffix does not find what a killed process has left.

    Raises:
        WriteError: the file can't be written.
    """
    temporary = path.with_name(f".{path.stem[:100]}.{uuid.uuid4().hex}.tmp{path.suffix if with_suffix else ''}")
    try:
        with told(path, needed):
            path.parent.mkdir(parents=True, exist_ok=True)
            yield temporary
            if durable:
                _to_disk(temporary)
            os.replace(temporary, path)
    finally:
        remove_quietly(temporary)


@contextmanager
def told(path: str | os.PathLike[str], needed: int | None = None) -> Iterator[None]:
    """Say of an OSError within, which comes from writing, what was written, and what can be done.

    Args:
        path: of the file or folder that is written.
        needed: bytes that it takes, if that is known.

    Raises:
        WriteError: in place of every other OSError.
    """
    try:
        yield
    except WriteError:
        raise
    except OSError as error:
        raise write_error(error, path, needed) from error


def write_error(error: OSError, path: str | os.PathLike[str], needed: int | None = None) -> WriteError:
    """What is said of an error of writing `path`, which takes `needed` bytes."""
    reason = REASONS.get(error.errno or 0, error.strerror or str(error))
    space = _space(Path(path), needed) if error.errno in FULL else ""
    words = f"{os.fspath(path)} can't be written: {reason}{space}; {HINTS.get(error.errno or 0, OTHERWISE)}"
    return WriteError(error.errno or errno.EIO, words, os.fspath(path))


def check_writable(folder: str | os.PathLike[str], needed: int = 0) -> None:
    """Make a folder, and find out before the work whether anything can be written there.

    Args:
        folder: of what will be written.
        needed: bytes that are certainly needed.

    Raises:
        WriteError: it can't be made or written to, or has not so much room.
    """
    folder = Path(folder)
    with told(folder, needed or None):
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / f".{uuid.uuid4().hex}.tmp"
        try:
            probe.write_bytes(PROBE)
            _to_disk(probe)  # where a disk takes first and complains later
        finally:
            remove_quietly(probe)
        free = free_space(folder)
        if free is not None and free < needed:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@contextmanager
def staged(folder: Path, last: str | None = None) -> Iterator[Path]:
    """A folder whose files go to `folder` when all of them are written; if that fails what was there stays as it was.

    Args:
        folder: where the files are wanted; others in it are left alone.
        last: the file that goes last, because it tells of the others.

    Raises:
        WriteError: the folder can't be written to.
    """
    check_writable(folder)
    for left in folder.glob(f".*{PARTIAL}"):  # of a process that was killed
        shutil.rmtree(left, ignore_errors=True)
    stage = folder / f".{uuid.uuid4().hex}{PARTIAL}"
    try:
        with told(folder):
            stage.mkdir()
        with _as_in(folder, stage):
            yield stage
        files = [file for file in sorted(stage.rglob("*")) if file.is_file()]
        with told(folder):
            for file in sorted(files, key=lambda file: file == stage / (last or "")):
                target = folder / file.relative_to(stage)
                target.parent.mkdir(parents=True, exist_ok=True)
                os.replace(file, target)
    finally:
        shutil.rmtree(stage, ignore_errors=True)


@contextmanager
def _as_in(folder: Path, stage: Path) -> Iterator[None]:
    """Errors of files in the stage name them as they are known."""
    try:
        yield
    except WriteError as error:
        words = str(error).replace(f"{stage}{os.sep}", f"{folder}{os.sep}")
        raise WriteError(error.errno, words, str(folder)) from error


def free_space(path: Path) -> int | None:
    """Bytes that are free where a path lies, or will lie; None where nobody knows."""
    there = next((part for part in (path, *path.parents) if part.exists()), None)
    try:
        return None if there is None else shutil.disk_usage(there).free
    except OSError:
        return None


def in_units(size: float) -> str:
    """Bytes as people say them: "3.4 MB"."""
    power = min(len(f"{size:.0f}") - 1, 3 * len(UNITS) - 3) // 3
    return f"{size:.0f} bytes" if power == 0 else f"{size / 1000**power:.2f} {UNITS[power]}"


def remove_quietly(path: Path) -> None:
    """Remove a file that may not be there; a disk that does not let it go has its own error told already."""
    with suppress(OSError):
        path.unlink(missing_ok=True)


def remove_left(folder: Path) -> None:
    """Remove what processes that were killed while they wrote have left in a folder, where nobody writes now."""
    for path in folder.glob(".*.tmp*"):
        if _TEMPORARY.fullmatch(path.name):
            remove_quietly(path)


def _to_disk(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())


def _space(path: Path, needed: int | None) -> str:
    free = free_space(path)
    known = [f"{in_units(needed)} needed"] if needed else []
    known += [] if free is None else [f"{in_units(free)} free"]
    return f" ({', '.join(known)})" if known else ""
