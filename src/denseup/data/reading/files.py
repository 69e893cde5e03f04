"""The bytes of an image file: of a regular file, no larger than a picture can be.

What may be meant by a path in a list or manifest: a file below the list's folder.
"""

import os
import stat
from collections.abc import Iterator
from pathlib import Path, PurePath, PurePosixPath, PureWindowsPath

from PIL import Image

IMAGE_EXTENSIONS = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff", ".gif")
PNG_START = b"\x89PNG\r\n\x1a\n"
PNG_END = b"IEND"
BYTES_PER_PIXEL = 8
"""Of a file at most: four channels of 16 bits that were not compressed."""
BESIDE_PIXELS = 2**26
"""Bytes for colour profiles, text and reduced copies."""
MOST_DEFLATED = 1032
"""How many times its size deflated data can unfold to (RFC 1951: 258 bytes from two bits, and the rest from less)."""
KINDS = {
    stat.S_ISDIR: "a folder", stat.S_ISFIFO: "a named pipe", stat.S_ISSOCK: "a socket",
    stat.S_ISCHR: "a device", stat.S_ISBLK: "a device",
}  # fmt: skip


class DataError(ValueError):
    """A file, folder or sample is not what the data set expects; the message names it."""


def file_bytes(path: Path) -> bytes:
    """What is in a file.

    Raises:
        DataError: it is missing, can't be read, is no regular file (nobody waits for a named pipe), or larger than any
            picture of `PIL.Image.MAX_IMAGE_PIXELS`, twice, as Pillow counts it.
    """
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    try:
        with open(os.open(path, flags), "rb") as file:
            _check_regular(path, os.fstat(file.fileno()))
            return file.read()
    except DataError:
        raise
    except (OSError, ValueError) as error:  # the latter of a zero byte in a name
        why = error.strerror if isinstance(error, OSError) else error
        raise DataError(f"{path}: cannot be read ({why}); expected an image file ({formats()})") from error


def _check_regular(path: Path, state: os.stat_result) -> None:
    if not stat.S_ISREG(state.st_mode):
        kind = next((kind for is_one, kind in KINDS.items() if is_one(state.st_mode)), "no regular file")
        raise DataError(f"{path}: found {kind}; expected an image file ({formats()})")
    if Image.MAX_IMAGE_PIXELS is None:
        return
    most = 2 * Image.MAX_IMAGE_PIXELS * BYTES_PER_PIXEL + BESIDE_PIXELS
    if state.st_size > most:
        raise DataError(
            f"{path}: found {state.st_size} bytes; expected an image file of {most} bytes at most; "
            "PIL.Image.MAX_IMAGE_PIXELS raises the limit"
        )


def png_fault(data: bytes) -> str | None:
    """What is wrong with a PNG by its chunks and its size; "" for one cut short, None for nothing.

    Checksums are left to Pillow, which makes room for all pixels before it looks at the first.
    """
    end, pixels = False, 0
    for kind, first, length in _chunks(data):
        last = first + length
        if last + 4 > len(data):
            return ""
        pixels += length if kind == b"IDAT" else 0
        end = kind == PNG_END
        if end:
            break
    return _png_size_fault(data, pixels) if end else ""


def _png_size_fault(data: bytes, pixels: int) -> str | None:
    """Whether the header promises more than so many bytes can unfold to."""
    header = data[len(PNG_START) :]
    if header[4:8] != b"IHDR" or len(header) < 17:
        return None  # Pillow has words for it
    width, height = (int.from_bytes(header[i : i + 4], "big") for i in (8, 12))
    if width * height * header[16] // 8 > MOST_DEFLATED * pixels:
        return f"its {width} x {height} pixels can't be in {pixels} bytes"
    return None


def _chunks(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Type of each chunk, where its data begin, and how many there are said to be."""
    place = len(PNG_START)
    while place + 8 <= len(data):
        length = int.from_bytes(data[place : place + 4], "big")
        yield data[place + 4 : place + 8], place + 8, length
        place += 12 + length


def inside(root: Path, name: str, source: Path) -> Path:
    """The file `name` of a list, below the folder `root`.

    Links are followed, as everywhere: whoever has made one in a data set's folder has decided where it leads. A list is
    text that comes along with data, and can't name a file elsewhere.

    Raises:
        DataError: an absolute path, one with a drive, `..` or a zero byte in it, or none; it names `source`, the list.
    """
    parts = {*PurePosixPath(name).parts, *PureWindowsPath(name).parts}
    absolute = PurePosixPath(name).is_absolute() or PureWindowsPath(name).drive or PureWindowsPath(name).root
    if not PurePath(name).parts or absolute or ".." in parts or "\0" in name:
        raise DataError(f"{source}: found the path {name!r}; expected that of a file below {root}, without '..'")
    return root / name


def formats() -> str:
    """The extensions that are read, for messages."""
    return "one of " + " ".join(extension[1:] for extension in IMAGE_EXTENSIONS)
