"""The file of a checkpoint: written whole or not at all, known to be whole when it is read, and the few that are kept.

It is what `torch.save` writes, a zip archive, with the SHA-256 of its bytes as the archive's comment: `torch.load` and
every zip program read it as ever. Files of earlier versions have no comment; of them the archive's own CRC-32 of each
part is looked at. Nothing here imports torch before it needs it.
"""

import hashlib
import os
import re
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

LAST = "last.ckpt"
"""The newest checkpoint to go on from; those before it are last-1.ckpt, last-2.ckpt, …, the newest first."""
_EARLIER = re.compile(r"last-([1-9][0-9]*)\.ckpt")
_MARK = b"denseup sha256 "
_COUNT = struct.pack("<H", len(_MARK) + 2 * hashlib.sha256().digest_size)
_END, _END_SIZE = b"PK\x05\x06", 22
"""An archive's last record, whose last two bytes count those of the comment behind it."""
_CHUNK = 1 << 20


class DamagedError(ValueError):
    """A checkpoint whose bytes are not those that were written."""


class NothingWholeError(ValueError):
    """Of the checkpoints that a run has kept none can be read: the run stays interrupted until a person decides."""


def write_checkpoint(content: Any, path: Path, keep: int = 1) -> None:
    """Write what `torch.save` can save, so that the file is all there or what was there before.

    The new file is on the disk before it takes its name. Of last.ckpt the one before it is kept as last-1.ckpt, and so
    on, `keep` of them altogether.

    Raises:
        OSError: it can't be written; the file that was there before is as it was.
    """
    import torch

    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.tmp")  # always the same: what a killed process left is written over
    try:
        _write(temporary, lambda file: torch.save(content, file))
        if path.name == LAST:
            _shift(path.parent, keep)
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    _sync_folder(path.parent)


def check_bytes(path: Path) -> None:
    """Read a checkpoint once and compare its bytes with their checksum.

    Raises:
        DamagedError: they differ, the file is cut off, or it is no archive at all.
        OSError: it can't be read.
    """
    with path.open("rb") as file:
        start = file.read(2)
        length = file.seek(0, os.SEEK_END)
        whole = len(_comment(""))
        file.seek(max(length - _END_SIZE - whole, 0))
        tail = file.read()
        end = tail.rfind(_END)
        if tail[2 - whole :].startswith(_MARK) or (end >= 0 and tail[end + _END_SIZE - 2 :].startswith(_COUNT)):
            _check_comment(file, length, tail[-whole:])
        elif start == b"PK":
            _check_parts(path)
        else:
            raise DamagedError("it is empty" if length == 0 else "it is no archive, as every checkpoint is one")


def kept(folder: Path) -> list[Path]:
    """Checkpoints of a folder to go on from, the newest first."""
    numbers = {0: folder / LAST} if (folder / LAST).is_file() else {}
    for path in folder.glob("last-*.ckpt"):
        if found := _EARLIER.fullmatch(path.name):
            numbers[int(found[1])] = path
    return [numbers[number] for number in sorted(numbers)]


def newest_whole(path: Path) -> tuple[Path, list[str]]:
    """The checkpoint to go on from: `path`, or if it is a damaged or lost one of `kept`, the next before it.

    Returns:
        It, and what is wrong with each newer one. A file of another name is not looked at.

    Raises:
        NothingWholeError: there are some, and none is whole.
    """
    candidates = kept(path.parent)
    if path in candidates:
        candidates = candidates[candidates.index(path) :]
    elif path.name != LAST or not candidates:
        return path, []
    problems = [] if path in candidates else [f"{path}: there is no such file"]
    for candidate in candidates:
        try:
            check_bytes(candidate)
        except (DamagedError, OSError) as error:
            problems.append(f"{candidate}: {error}")
        else:
            return candidate, problems
    raise NothingWholeError(
        f"none of the checkpoints of {path.parent.parent} is whole: {'; '.join(problems)}. Nothing was trained or "
        "removed. To start the run anew from its first step, remove these files; in a sweep: sweep.rerun=failed"
    )


class _Hashing:
    """A file to write to, with the SHA-256 of what was written.

    Args:
        file: opened for writing.
    """

    def __init__(self, file: BinaryIO) -> None:
        self.file, self.digest, self.tail = file, hashlib.sha256(), b""
        self.error: OSError | None = None
        """What could not be written, and why: torch's writer has other words for it."""

    def write(self, data: Any) -> int:
        """As that of a file."""
        self.digest.update(data)
        self.tail = (self.tail + bytes(data[-_END_SIZE:]))[-_END_SIZE:]
        try:
            return self.file.write(data)
        except OSError as error:
            self.error = error
            raise

    def flush(self) -> None:
        """As that of a file."""
        self.file.flush()


def _write(path: Path, save: Callable[[Any], None]) -> None:
    """Write an archive with its checksum, down to the disk."""
    with path.open("wb") as file:
        hashing = _Hashing(file)
        try:
            save(hashing)
        except Exception as error:
            raise hashing.error or error from None
        assert re.fullmatch(_END + rb".{16}\0\0", hashing.tail, re.DOTALL), "torch.save wrote no plain archive"
        file.seek(-2, os.SEEK_END)
        file.write(_comment(hashing.digest.hexdigest()))
        file.flush()
        os.fsync(file.fileno())


def _sync_folder(folder: Path) -> None:
    """Bring the names of a folder's files to the disk, where the system can."""
    if not hasattr(os, "O_DIRECTORY"):  # Windows
        return
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _shift(folder: Path, keep: int) -> None:
    """Make room for a new last.ckpt: each that is kept goes one further, and those beyond are removed.

    A process that is killed in between leaves whole files under these names, last.ckpt among them, perhaps twice.
    """
    files = kept(folder)
    for path in files[max(keep - 1, 0) :]:
        if path.name != LAST:  # which is replaced
            path.unlink()
    for number, path in reversed(list(enumerate(files[: keep - 1], 1))):
        _rename(path, folder / f"last-{number}.ckpt")


def _rename(path: Path, target: Path) -> None:
    """Give a file another name; last.ckpt has both for now, where the file system can."""
    if path.name == LAST:
        second = target.with_name(f".{target.name}.tmp")
        second.unlink(missing_ok=True)
        try:
            os.link(path, second)
            path = second
        except OSError:
            pass
    os.replace(path, target)


def _comment(digest: str) -> bytes:
    """The comment of an archive with such a checksum, or as long as with any, after the two bytes that count it."""
    return _COUNT + _MARK + (digest or "0" * 2 * hashlib.sha256().digest_size).encode()


def _check_comment(file: BinaryIO, length: int, comment: bytes) -> None:
    """Compare the comment with that of the bytes before it, in which it was not counted yet."""
    digest, left = hashlib.sha256(), length - len(comment)
    file.seek(0)
    while left > 0 and (data := file.read(min(_CHUNK, left))):
        digest.update(data)
        left -= len(data)
    digest.update(b"\0\0")
    if comment != _comment(digest.hexdigest()):
        raise DamagedError("its bytes are not those that were written (SHA-256)")


def _check_parts(path: Path) -> None:
    """Compare each part of an archive with its CRC-32."""
    try:
        with zipfile.ZipFile(path) as archive:
            odd = [part.filename for part in archive.infolist() if part.compress_size != part.file_size]
            broken = odd[0] if odd else archive.testzip()  # torch compresses nothing
    except Exception as error:  # whatever damaged headers make of the reader
        raise DamagedError(f"it is cut off or its parts are lost ({type(error).__name__})") from error
    if broken is not None:
        raise DamagedError(f"the bytes of its part {broken} are not those that were written (CRC-32)")
