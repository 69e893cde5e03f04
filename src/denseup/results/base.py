"""What all results have in common: the image, the values, and named pictures of both."""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import chain
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Array = NDArray[Any]
UInt8 = NDArray[np.uint8]
File = Image.Image | str
"""A picture, or text."""
STRIP = 256
"""Rows."""


@dataclass(frozen=True)
class Result:
    """Values of one image; a subclass says which pictures there are of them.

    Args:
        image: RGB [H, W, 3], uint8, or float32 in [0, 1].
        values: one a pixel, [H, W].
    """

    kinds: ClassVar[tuple[str, ...]]
    """The pictures that `picture` draws; of the first one there is nothing that the others have not."""
    deep_kinds: ClassVar[tuple[str, ...]] = ()
    """Those that can have 16 bits."""

    image: Array
    values: Array

    def picture(self, kind: str, bits: int = 8) -> Image.Image:
        """One of `kinds`, of the size of the image.

        Args:
            kind: which.
            bits: 8, or 16 for `deep_kinds`; the others have 8 all the same.

        Raises:
            ValueError: another kind or number of bits.
        """
        raise NotImplementedError(f"{type(self).__name__} must implement picture")

    def check_picture(self, kind: str, bits: int) -> None:
        """A ValueError for a kind or depth of `picture` that there is not."""
        if kind not in self.kinds:
            raise ValueError(f"kind is {kind!r}, valid: {', '.join(self.kinds)}")
        if bits not in (8, 16):
            raise ValueError(f"bits is {bits!r}, valid: 8, 16")

    def once(self) -> dict[str, File]:
        """File name → what is the same for all images of a task."""
        return {}


def rgb_bytes(image: Array) -> UInt8:
    """uint8 of an image that may be float32 in [0, 1]."""
    return image if image.dtype == np.uint8 else by_strips(lambda part: level_bytes(part), image)


def level_bytes(values: Array, kind: type[np.unsignedinteger[Any]] = np.uint8) -> Array:
    """Values in [0, 1] as the nearest levels of an unsigned type."""
    return np.rint(values.clip(0, 1) * np.float32(np.iinfo(kind).max)).astype(kind)


def by_strips(change: Callable[..., Array], *arrays: Array) -> Array:
    """`change` of arrays of one height, some rows at a time: temporaries of a large image would outweigh it."""
    parts = (change(*(array[row : row + STRIP] for array in arrays)) for row in range(0, len(arrays[0]), STRIP))
    first = next(parts)
    made = np.empty((len(arrays[0]), *first.shape[1:]), first.dtype)
    for row, part in zip(range(0, len(made), STRIP), chain([first], parts), strict=True):
        made[row : row + STRIP] = part
    return made


def grey_picture(values: Array, bits: int = 8) -> Image.Image:
    """Values in [0, 1] as grey levels of 8 or 16 bits."""
    kind = np.uint8 if bits == 8 else np.uint16
    return Image.fromarray(by_strips(lambda part: level_bytes(part, kind), values))
