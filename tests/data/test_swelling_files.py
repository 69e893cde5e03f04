"""Files that claim to be large, or unfold to much: refused in little memory."""

import struct
import sys
import zlib

import pytest
from data.odd_files import chunk, encoded, png
from PIL import Image
from processes import python

from denseup.data.reading.files import PNG_START


def claims(width, height, colour=2, bits=8):
    """A PNG that claims to be large, of few bytes."""
    return png(width, height, bits, colour, bytes(99))


def swelling():
    """A gigabyte of zeros, in a megabyte: a block that says so, again and again."""
    deflated = zlib.compressobj(9)
    start = deflated.compress(b"") + deflated.flush(zlib.Z_FULL_FLUSH)
    return start + (deflated.compress(bytes(2**20)) + deflated.flush(zlib.Z_FULL_FLUSH)) * 1024


def text_bomb():
    """Its text and its profile would fill the memory."""
    extra = [chunk(b"zTXt", b"a\0\0" + swelling()), chunk(b"iCCP", b"a\0\0" + swelling())]
    return png(2, 2, 8, 0, b"\0\0\0" * 2, *extra)


def pixel_bomb():
    """A gigabyte of pixels where four are expected."""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 2, 2, 8, 0, 0, 0, 0))
    return PNG_START + header + chunk(b"IDAT", swelling()) + chunk(b"IEND", b"")


def resized(kind, mode, size, place):
    """A file of one pixel that claims to have others: the bytes of its size are replaced."""
    data = encoded(Image.new(mode, (1, 1)), kind)
    return data[:place] + size + data[place + len(size) :]


def tiff(width, height, count=1, size=1):
    """A TIFF of one strip with a size and a number of values that nothing stands behind."""
    tags = [(256, 4, 1, width), (257, 4, 1, height), (258, 3, count, 8), (259, 3, 1, 1), (262, 3, 1, 1)]
    tags += [(273, 4, count, 8), (277, 3, 1, 1), (278, 4, 1, height), (279, 4, count, size)]
    return (
        b"II*\0\x08\0\0\0" + struct.pack("<H", len(tags)) + b"".join(struct.pack("<HHII", *t) for t in tags) + bytes(4)
    )


BOMBS = {
    "png": claims(60_000, 60_000),
    "png below Pillow's limit": claims(13_000, 13_000),
    "png of 16 bits": claims(13_000, 13_000, 6, 16),
    "gif": resized("GIF", "P", struct.pack("<HH", 65535, 65535), 6),
    "bmp": resized("BMP", "RGB", struct.pack("<ii", 60_000, 60_000), 18),
    "tif": tiff(60_000, 60_000),
    "tif of many strips": tiff(8, 8, 2**31 - 1),
    "tif of a large strip": tiff(8, 8, 1, 2**32 - 1),
    "tif of no size": tiff(0, 0),
}
ROOM = 2**29
"""Bytes that a child may take on top of what it has; the pixels of the bombs would need more."""

CHILD = """
import resource, sys
from pathlib import Path
from denseup.data import DataError, read_image
import cv2, numpy, PIL.TiffImagePlugin, PIL.PngImagePlugin, PIL.GifImagePlugin, PIL.BmpImagePlugin
taken = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (taken + {room}, taken + {room}))
for path in sorted(Path({folder!r}).iterdir()):
    try:
        print(path.name, read_image(path).shape)
    except DataError as error:
        assert str(error).startswith(str(path))
        print(path.name, "refused" if "memory" not in str(error) else "took all the memory")
print("done")
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="memory is bounded by Linux's means")
def test_files_that_swell_are_refused_in_little_memory(tmp_path):
    for name, data in {**BOMBS, "png text": text_bomb(), "png pixels": pixel_bomb()}.items():
        (tmp_path / name).write_bytes(data)
    done = python("-c", CHILD.format(room=ROOM, folder=str(tmp_path)))
    *lines, last = done.stdout.splitlines()
    assert last == "done", done.stdout + done.stderr
    assert len(lines) == len(BOMBS) + 2
    # whose few pixels are there, whatever follows them, as Pillow reads them too
    sound = {"tif of a large strip (8, 8, 3)", "png pixels (2, 2, 3)"}
    assert {line for line in lines if not line.endswith(" refused")} == sound
