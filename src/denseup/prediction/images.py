"""What a person may hand over as an image: a file, bytes, a Pillow image, an array. Read by the rules of the data."""

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from denseup.data.reading.decoding import Array, Picture, decoded_picture, image_picture, open_picture
from denseup.data.reading.samples import read_image

Given = str | Path | bytes | Image.Image | Array
SLACK = 1e-3
"""What a float may exceed 0 … 1 by and still be rounding."""


def as_picture(given: Given, name: str) -> Picture | None:
    """The decoded picture of a file, bytes or a Pillow image; None for an array.

    Raises:
        DataError: a file that is no picture.
        ValueError: another kind of object.
    """
    if isinstance(given, np.ndarray):
        return None
    if isinstance(given, bytes):
        return decoded_picture(Path(name), given)
    if isinstance(given, Image.Image):
        return image_picture(Path(name), given)
    if not isinstance(given, str | Path):
        kind = type(given).__name__
        raise ValueError(f"{name} is a {kind}, expected a path, the bytes of a file, a PIL.Image or a numpy.ndarray")
    return open_picture(Path(given))


def as_image(given: Given, apply_orientation: bool = True) -> Array:
    """RGB [H, W, 3], uint8, or float32 in [0, 1] where an array was given so.

    Arrays are [H, W], [H, W, 1], [H, W, 3] or [H, W, 4] (the fourth channel, alpha, is dropped) of uint8, uint16 (cut
    to 8 bits, as in files) or floats in [0, 1].

    Raises:
        DataError: a file that is no picture.
        ValueError: an object or array that is none of these.
    """
    picture = as_picture(given, "image")
    if picture is not None:
        return read_image(picture, apply_orientation=apply_orientation)
    array: Any = given
    if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] not in (1, 3, 4)) or not array.size:
        raise ValueError(f"image is an array {list(array.shape)}, expected [H, W], [H, W, 1], [H, W, 3] or [H, W, 4]")
    channels = (
        np.atleast_3d(array)[..., :3] if array.ndim == 3 and array.shape[2] > 2 else np.atleast_3d(array)[..., :1]
    )
    levels = _levels(channels)
    return np.ascontiguousarray(np.broadcast_to(levels, (*levels.shape[:2], 3)))


def _levels(array: Array) -> Array:
    if array.dtype == np.uint8:
        return array
    if array.dtype == np.uint16:
        return (array >> 8).astype(np.uint8)
    if array.dtype.kind != "f":
        raise ValueError(f"image is an array of {array.dtype}, expected uint8, uint16, or floats in [0, 1]")
    least, most = float(array.min()), float(array.max())
    if not (least >= -SLACK and most <= 1 + SLACK):  # false for NaN too
        hint = "; as uint8 it is read as it stands" if 1 < most <= 255 else ""
        raise ValueError(f"image is an array of {array.dtype} from {least:g} to {most:g}, expected 0 to 1{hint}")
    return array.astype(np.float32).clip(0, 1)


def as_map(given: Given, name: str) -> Picture:
    """A trimap or mask as a decoded picture, so that all go through one reading code.

    Raises:
        DataError: a file that is no picture.
        ValueError: an array that is neither [H, W] nor of uint8, uint16, bool or floats.
    """
    picture = as_picture(given, name)
    if picture is not None:
        return picture
    array: Any = given
    array = array[..., 0] if array.ndim == 3 and array.shape[2] == 1 else array
    if array.ndim != 2 or array.dtype.kind not in "fub" or not array.size:
        raise ValueError(f"{name} is {array.dtype} {list(array.shape)}, expected [H, W] of uint8, bool or floats")
    kind = {"b": np.uint8, "f": np.float32}.get(array.dtype.kind, array.dtype)
    levels = array.astype(kind) * np.uint8(255) if array.dtype.kind == "b" else array.astype(kind)
    try:
        image = Image.fromarray(np.ascontiguousarray(levels))
    except TypeError as error:
        raise ValueError(f"{name} is {array.dtype} {list(array.shape)}, expected uint8, uint16 or floats") from error
    return image_picture(Path(name), image)
