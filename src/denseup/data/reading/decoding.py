"""Image files as they are stored: whole, bounded in size, one picture each, with their orientation tag.

Pillow decodes them, to the same pixels as OpenCV; OpenCV is asked only for the channels that Pillow cuts to 8 bits.
"""

import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile, UnidentifiedImageError

from denseup.data.reading.files import IMAGE_EXTENSIONS, PNG_START, DataError, file_bytes, formats, png_fault

__all__ = ["IMAGE_EXTENSIONS", "DataError", "Picture", "decoded_picture", "image_picture", "open_picture"]

Array = NDArray[Any]

FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "TIFF", "GIF")

# OpenCV's own threads would compete with torch's, and a data worker forked while they run can hang.
cv2.setNumThreads(0)

ORIENTATION_TAG, SUBFILE_TAG = 0x0112, 0x00FE
AS_STORED = 1
TURNS: dict[int, Callable[[Array], Array]] = {
    AS_STORED: lambda array: array,
    2: lambda array: array[:, ::-1],
    3: lambda array: array[::-1, ::-1],
    4: lambda array: array[::-1],
    5: lambda array: array.swapaxes(0, 1),
    6: lambda array: array[::-1].swapaxes(0, 1),
    7: lambda array: array[::-1, ::-1].swapaxes(0, 1),
    8: lambda array: array.swapaxes(0, 1)[::-1],
}
"""From the stored array to the upright one, by the value of the orientation tag."""
INVERSE_TURNS = {6: 8, 8: 6}

# Pillow stretches grey levels of few bits to 0..255; these steps lead back.
STEPS = {"L;2": 85, "L;4": 17}
SIMPLE_MODES = {
    "P": "RGB", "PA": "RGBA", "CMYK": "RGB", "YCbCr": "RGB", "RGBa": "RGBA", "RGBX": "RGB", "La": "LA", "1": "L",
}  # fmt: skip


@dataclass(frozen=True)
class Picture:
    """A decoded file.

    Attributes:
        path: of the file.
        image: its pixels, in the orientation the decoder gives them.
        raw_mode: Pillow's name for how the file stores a pixel.
        orientation: the value of its orientation tag (EXIF or TIFF), 1 without one.
        turned: whether the decoder has followed the tag already.
        data: the file's bytes.
    """

    path: Path
    image: Image.Image
    raw_mode: str
    orientation: int
    turned: bool
    data: bytes

    def upright(self, array: Array, apply_orientation: bool = True) -> Array:
        """An array of this picture turned as its tag says, or as it is stored; contiguous and writable."""
        if apply_orientation != self.turned:
            turn = self.orientation if apply_orientation else INVERSE_TURNS.get(self.orientation, self.orientation)
            array = TURNS[turn](array)
        return np.require(array, None, ["C", "W"])

    def colours(self) -> Array:
        """uint8 [H, W, 3], RGB; 16 bits are cut to 8, an alpha channel is dropped."""
        if self.image.mode[0] in "IF":
            array = self.levels()
            if array.dtype != np.uint16:
                raise DataError(f"{self.path}: found {kind_of(array)}; expected colours or grey levels of 8 or 16 bits")
            return np.repeat((array >> 8).astype(np.uint8)[..., None], 3, axis=2)
        if self.image.mode == "P" and "transparency" in self.image.info:  # Pillow warns of the direct way
            return np.asarray(self.image.convert("RGBA"))[..., :3]
        return np.asarray(self.image.convert("RGB"))

    def levels(self) -> Array:
        """What the pixels look like: [H, W] or [H, W, C] of uint8, uint16, int32 or float32; a palette gives colours.

        Levels of 1, 2 and 4 bits are stretched to 0..255. Transparency of any kind makes a last channel.
        """
        image = self.image
        if "transparency" in image.info and image.mode in ("L", "P", "RGB"):
            return np.asarray(image.convert("LA" if image.mode == "L" else "RGBA"))
        return self._array()

    def values(self) -> Array:
        """The numbers in the file: as `levels`, but indices for a palette, and levels of few bits not stretched.

        A palette entry, level or colour that the file declares transparent keeps its number.
        """
        if self.image.mode in ("P", "PA"):
            array = np.asarray(self.image)
            return array if array.ndim == 2 else array[..., 0]
        array = self._array()
        step = 255 if self.image.mode == "1" else STEPS.get(self.raw_mode[:3], 1)
        return array // np.uint8(step) if step > 1 else array

    def _array(self) -> Array:
        mode = SIMPLE_MODES.get(self.image.mode)
        array = np.asarray(self.image.convert(mode) if mode else self.image)
        if array.ndim == 2:
            unsigned = self.raw_mode.startswith("I;16") and not self.raw_mode.endswith("S")
            return array.astype(np.uint16 if unsigned else array.dtype.newbyteorder("="), copy=False)
        if self.image.format in ("PNG", "TIFF") and "16" in self.raw_mode:
            deep = cv2.imdecode(np.frombuffer(self.data, np.uint8), cv2.IMREAD_UNCHANGED)
            # OpenCV's order is BGR, which does not matter to grey levels: only they are taken from here.
            if deep is None or deep.dtype != np.uint16 or deep.shape[:2] != array.shape[:2]:
                raise DataError(f"{self.path}: its channels of 16 bits can't be decoded; expected a whole image")
            return np.asarray(deep)
        return array


def open_picture(source: Path | Picture) -> Picture:
    """The picture in a file, decoded; a `DataError` for a file that is missing, broken, too large or an animation."""
    if isinstance(source, Picture):
        return source
    path = Path(source)
    return decoded_picture(path, file_bytes(path))


def decoded_picture(path: Path, data: bytes) -> Picture:
    """`open_picture` of a file whose bytes are at hand; `path` names it in messages."""
    try:
        return _decode(path, data)
    except DataError:
        raise
    except MemoryError as error:
        raise DataError(f"{path}: the memory does not do for its pixels; expected a smaller image") from error
    except UnidentifiedImageError as error:
        raise DataError(f"{path}: {len(data)} bytes that are not a readable image; expected {formats()}") from error
    except Image.DecompressionBombError as error:
        raise DataError(f"{path}: {error}; PIL.Image.MAX_IMAGE_PIXELS raises the limit") from error
    except Exception as error:  # whatever a decoder meets in a broken file
        if "truncated" in str(error).lower():
            raise _cut_short(path, data) from error
        raise DataError(f"{path}: cannot be decoded ({error}); expected a whole image, {formats()}") from error


def image_picture(path: Path, image: Image.Image) -> Picture:
    """A picture that Pillow has opened already; `path` names it in messages. Of colours it has 8 bits."""
    image.load()
    return Picture(path, image, image.mode, _exif_orientation(image), False, b"")


def orientation_of(path: Path) -> int:
    """The orientation tag of a readable file, 1 without one."""
    return open_picture(path).orientation


def kind_of(array: Array) -> str:
    """Channels and type of an array's pixels, for messages."""
    return f"{1 if array.ndim == 2 else array.shape[2]} channel(s) of {array.dtype}"


def _decode(path: Path, data: bytes) -> Picture:
    fault = png_fault(data) if data.startswith(PNG_START) else None
    if fault:
        raise DataError(f"{path}: the file is damaged: {fault}; expected a whole image")
    image = Image.open(BytesIO(data), formats=FORMATS)
    frames = _frames(image)
    if frames > 1:
        raise DataError(f"{path}: found {frames} frames (an animation, or several pages); expected one picture a file")
    arguments = image.tile[0][3] if image.tile else ""
    raw_mode = str(arguments[0] if isinstance(arguments, tuple) else arguments)
    tagged = image.tag_v2.get(ORIENTATION_TAG) if image.format == "TIFF" else None  # type: ignore[attr-defined]
    with _whole_files():
        image.load()
    if fault is not None:
        raise _cut_short(path, data)
    left = _exif_orientation(image)
    orientation = tagged if tagged in TURNS else left
    return Picture(path, image, raw_mode, orientation, orientation != left, data)


@contextmanager
def _whole_files() -> Iterator[None]:
    """Pillow's setting against cut files, which other libraries switch off for the whole process."""
    before, ImageFile.LOAD_TRUNCATED_IMAGES = ImageFile.LOAD_TRUNCATED_IMAGES, False
    try:
        yield
    finally:
        ImageFile.LOAD_TRUNCATED_IMAGES = before


def _frames(image: Image.Image) -> int:
    """How many pictures a file holds; a camera's second picture (MPO) and reduced copies (TIFF) do not count."""
    frames = 1 if image.format == "MPO" else getattr(image, "n_frames", 1)
    if image.format != "TIFF" or frames == 1:
        return frames
    full = 0
    for frame in range(frames):
        image.seek(frame)
        full += not image.tag_v2.get(SUBFILE_TAG, 0)  # type: ignore[attr-defined]
    image.seek(0)
    return full


def _exif_orientation(image: Image.Image) -> int:
    try:
        orientation = image.getexif().get(ORIENTATION_TAG)
    except (SyntaxError, ValueError, struct.error):  # damaged EXIF data say nothing; the pixels are sound
        return AS_STORED
    return orientation if orientation in TURNS else AS_STORED


def _cut_short(path: Path, data: bytes) -> DataError:
    return DataError(f"{path}: the file stops after {len(data)} bytes, before its end mark; expected a whole image")
