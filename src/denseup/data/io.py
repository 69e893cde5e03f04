"""Reading images, mattes, trimaps and label maps; every complaint is a `DataError` that names the file.

Arrays are [H, W] or [H, W, C], colours RGB. Decoding is OpenCV's.
"""

import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

IMAGE_EXTENSIONS = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff")
TRIMAP_LEVELS = (0, 128, 255)
TRIMAP_TOLERANCE = 10
IGNORE_INDEX = 255

# OpenCV's own threads would compete with torch's, and a data worker forked while they run can hang.
cv2.setNumThreads(0)


class DataError(ValueError):
    """A file, folder or sample is not what the data set expects; the message names it."""


def read_image(path: Path) -> Array:
    """The colours of any image file as uint8 [H, W, 3], RGB; an alpha channel is dropped."""
    return cv2.cvtColor(_decode(path, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)


def read_alpha(path: Path) -> Array:
    """A matte as uint8 [H, W], 255 opaque; 16-bit files are rounded to 8 bits."""
    return _single_channel(path, _decode(path, cv2.IMREAD_UNCHANGED), "alpha")


def read_cutout(foreground: Path, alpha: Path | None = None) -> Array:
    """Straight (not premultiplied) RGBA as uint8 [H, W, 4], from one RGBA file or from a colour file and a matte."""
    if alpha is not None:
        colours, matte = read_image(foreground), read_alpha(alpha)
        check_same_size({foreground: colours, alpha: matte})
        return np.dstack([colours, matte])
    array = _decode(foreground, cv2.IMREAD_UNCHANGED)
    if array.ndim != 3 or array.shape[2] != 4 or array.dtype != np.uint8:
        raise DataError(f"{foreground}: found {_describe(array)}; expected a foreground with 8-bit RGBA channels")
    return cv2.cvtColor(array, cv2.COLOR_BGRA2RGBA)


def read_trimap(path: Path) -> Array:
    """A trimap as uint8 [H, W] of exactly 0, 128 and 255; values within 10 of these levels are moved to them."""
    array = _single_channel(path, _decode(path, cv2.IMREAD_UNCHANGED), "trimap")
    levels = np.array(TRIMAP_LEVELS, np.int16)
    distance = np.abs(np.arange(256, dtype=np.int16)[:, None] - levels)
    stray = np.setdiff1d(np.unique(array), np.flatnonzero(distance.min(1) <= TRIMAP_TOLERANCE))
    if stray.size:
        raise DataError(
            f"{path}: found trimap values {_some(stray)}; expected 0 (background), 128 (unknown) and 255 (foreground)"
        )
    return levels[distance.argmin(1)].astype(np.uint8)[array]


def read_label(
    path: Path, num_classes: int, *, reduce_zero_label: bool = False, ignore_labels: tuple[int, ...] = ()
) -> Array:
    """A label map as uint8 [H, W] of class indices; 255 is ignored.

    A palette PNG gives its indices, not its colours. `ignore_labels` are file values that become 255;
    `reduce_zero_label` then turns 0 into 255 and lowers the other classes by one (ADE20K).
    """
    label = _label_indices(path)
    label = np.where(np.isin(label, ignore_labels), IGNORE_INDEX, label) if ignore_labels else label
    if reduce_zero_label:
        label = np.where((label == 0) | (label == IGNORE_INDEX), IGNORE_INDEX, label - 1)
    stray = np.unique(label[(label >= num_classes) & (label != IGNORE_INDEX)])
    if stray.size:
        shift = " after reduce_zero_label" if reduce_zero_label else ""
        raise DataError(
            f"{path}: found labels {_some(stray)}{shift}; expected 0..{num_classes - 1} (num_classes={num_classes}) "
            f"or {IGNORE_INDEX} (ignored)"
        )
    return label.astype(np.uint8)


def check_same_size(arrays: dict[Path, Array]) -> None:
    """Raise `DataError` unless all arrays have the height and width of the first."""
    (first, reference), *others = arrays.items()
    for path, array in others:
        if array.shape[:2] != reference.shape[:2]:
            raise DataError(
                f"{path}: found {_size(array)} (height x width); expected {_size(reference)}, the size of {first}"
            )


class Cached:
    """A reading function that keeps what it read when `keep` is set; the arrays it keeps are read-only."""

    def __init__(self, read: Callable[..., Array], keep: bool) -> None:
        self._read, self._keep = read, keep
        self._kept: dict[tuple[Any, ...], Array] = {}

    def __call__(self, *args: Any) -> Array:
        """What `read(*args)` returns."""
        if not self._keep:
            return self._read(*args)
        if args not in self._kept:
            array = self._read(*args)
            array.setflags(write=False)
            self._kept[args] = array
        return self._kept[args]


def _decode(path: Path, flags: int) -> Array:
    data = _bytes(path)
    image = cv2.imdecode(np.frombuffer(data, np.uint8), flags) if data else None
    if image is None:
        raise DataError(f"{path}: {len(data)} bytes that are not a readable image; expected {_formats()}")
    return image


def _bytes(path: Path) -> bytes:
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}); expected an image file ({_formats()})") from error
    # A decoder fills the missing part of a broken download with grey and says nothing.
    cut_jpeg = data.startswith(b"\xff\xd8\xff") and data.find(b"\xff\xd9", _jpeg_scan(data)) < 0
    if cut_jpeg or (data.startswith(b"\x89PNG") and b"IEND" not in data):
        raise DataError(f"{path}: the file stops after {len(data)} bytes, before its end mark; expected a whole image")
    return data


def _jpeg_scan(data: bytes) -> int:
    """Where a JPEG's pixels begin: past its header segments, one of which may be a thumbnail with an end mark."""
    position = 2
    while position + 4 <= len(data) and data[position + 1] != 0xDA:
        filler = data[position + 1] == 0xFF
        position += 1 if filler else 2 + int.from_bytes(data[position + 2 : position + 4], "big")
    return position


def _single_channel(path: Path, array: Array, what: str) -> Array:
    channels = 1 if array.ndim == 2 else array.shape[2]
    if channels == 4 and np.all(array[..., 3] == np.iinfo(array.dtype).max):
        array, channels = array[..., :3], 3
    if channels == 3 and np.all(array[..., 0] == array[..., 1]) and np.all(array[..., 1] == array[..., 2]):
        array, channels = array[..., 0], 1
    if array.dtype == np.uint16:
        array = ((array.astype(np.uint32) + 128) // 257).astype(np.uint8)
    if channels != 1 or array.dtype != np.uint8:
        raise DataError(f"{path}: found {_describe(array)}; expected a grey {what} of 8 or 16 bits")
    return np.ascontiguousarray(array.reshape(array.shape[:2]))


def _label_indices(path: Path) -> Array:
    array = _decode(path, cv2.IMREAD_UNCHANGED)
    palette = _png_palette(path.read_bytes())
    if palette is None:
        return _label_values(path, array)
    # OpenCV hands out a palette image's colours; look them up again, the first of equal palette entries winning.
    weights = np.array([1, 256, 65536], np.int64)
    colours, first = np.unique(palette[:, ::-1] @ weights, return_index=True)
    return first[np.searchsorted(colours, array[..., :3] @ weights)]


def _label_values(path: Path, array: Array) -> Array:
    if array.ndim == 3 and array.shape[2] == 3 and np.all(array == array[..., :1]):
        array = array[..., 0]
    if array.ndim != 2 or array.dtype not in (np.uint8, np.uint16):
        raise DataError(f"{path}: found {_describe(array)}; expected class indices in one channel of 8 or 16 bits")
    return array.astype(np.int64)


def _png_palette(data: bytes) -> Array | None:
    """The palette of an indexed PNG as int64 [N, 3], RGB; None for any other file."""
    if data[:4] != b"\x89PNG" or data[25] != 3:
        return None
    position = 8
    while data[position + 4 : position + 8] != b"PLTE":
        position += 12 + struct.unpack(">I", data[position : position + 4])[0]
    length = struct.unpack(">I", data[position : position + 4])[0]
    return np.frombuffer(data, np.uint8, length, position + 8).reshape(-1, 3).astype(np.int64)


def _describe(array: Array) -> str:
    return f"{1 if array.ndim == 2 else array.shape[2]} channel(s) of {array.dtype}"


def _size(array: Array) -> str:
    return f"{array.shape[0]} x {array.shape[1]}"


def _some(values: Array, most: int = 8) -> str:
    shown = ", ".join(str(int(v)) for v in values[:most])
    return shown if values.size <= most else f"{shown}, ... ({values.size} different ones)"


def _formats() -> str:
    return "one of " + " ".join(extension[1:] for extension in IMAGE_EXTENSIONS)
