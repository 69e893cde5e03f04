"""Reading images, mattes, trimaps and label maps; every complaint is a `DataError` that names the file.

Arrays are [H, W] or [H, W, C], colours RGB. Each file is turned upright by its own orientation tag (EXIF, or TIFF's),
whatever its kind; with `apply_orientation=False` all are taken as stored.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from denseup.data.reading.decoding import (
    AS_STORED,
    IMAGE_EXTENSIONS,
    Array,
    DataError,
    Picture,
    kind_of,
    open_picture,
    orientation_of,
)
from denseup.data.reading.label_coding import IGNORE_INDEX, LabelCoding
from denseup.data.reading.levels import alpha_bytes, one_channel, scaled_alpha, trimap_levels

__all__ = [
    "IGNORE_INDEX",
    "IMAGE_EXTENSIONS",
    "Array",
    "Cached",
    "DataError",
    "check_same_size",
    "read_alpha",
    "read_cutout",
    "read_image",
    "read_label",
    "read_trimap",
]

Source = Path | Picture


def read_image(path: Source, *, apply_orientation: bool = True) -> Array:
    """The colours of any image file as uint8 [H, W, 3], RGB; an alpha channel is dropped."""
    picture = open_picture(path)
    return picture.upright(picture.colours(), apply_orientation)


def read_alpha(path: Source, *, alpha_max: float | None = None, apply_orientation: bool = True) -> Array:
    """A matte as uint8 [H, W], 255 opaque.

    `alpha_max` is the file value that means opaque; None: the largest of the file's depth, 255, 65535, or 1 for one bit
    and for floats. A matte that looks coded otherwise (0 and 1 in 8 bits) is an error until it is said.
    """
    picture = open_picture(path)
    return picture.upright(alpha_bytes(picture, alpha_max), apply_orientation)


def read_cutout(foreground: Source, alpha: Source | None = None, *, alpha_max: float | None = None) -> Array:
    """Straight (not premultiplied) RGBA as uint8 [H, W, 4], from one file with alpha or from a colour file and a matte.

    `alpha_max` is that of `read_alpha`.
    """
    picture = open_picture(foreground)
    if alpha is not None:
        matte = open_picture(alpha)
        colours, levels = read_image(picture), read_alpha(matte, alpha_max=alpha_max)
        check_same_size({picture.path: colours, matte.path: levels})
        return np.dstack([colours, levels])
    if "A" not in picture.image.getbands() and "transparency" not in picture.image.info:
        kind = kind_of(picture.levels())
        raise DataError(f"{picture.path}: found {kind}; expected a foreground with 8-bit RGBA channels")
    cutout = np.array(picture.image.convert("RGBA"))
    cutout[..., 3] = scaled_alpha(cutout[..., 3], picture, alpha_max)
    return picture.upright(cutout)


def read_trimap(
    path: Source, *, trimap_values: Mapping[int, int] | None = None, apply_orientation: bool = True
) -> Array:
    """A trimap as uint8 [H, W] of exactly 0, 128 and 255; values within 10 of these levels are moved to them.

    `trimap_values` maps file values (of a palette: its indices) to these levels; values that it does not name keep
    theirs, and nothing is moved then.
    """
    picture = open_picture(path)
    return picture.upright(trimap_levels(picture, trimap_values), apply_orientation)


def read_label(
    path: Source,
    num_classes: int,
    *,
    reduce_zero_label: bool = False,
    ignore_labels: Sequence[int] = (),
    label_values: Mapping[int, int] | None = None,
    label_colours: Sequence[Sequence[int]] = (),
    apply_orientation: bool = True,
) -> Array:
    """A label map as uint8 [H, W] of class indices; 255 is ignored. See `LabelCoding` for the options.

    The values are those stored in the file, of 1, 2, 4, 8 or 16 bits: a palette gives its indices, not its colours.
    """
    coding = LabelCoding(num_classes, reduce_zero_label, tuple(ignore_labels), label_values or {}, label_colours)
    return read_coded_label(path, coding, apply_orientation=apply_orientation)


def read_coded_label(path: Source, coding: LabelCoding, *, apply_orientation: bool = True) -> Array:
    """`read_label` with its options in one object."""
    picture = open_picture(path)
    if coding.label_colours:
        values = coding.find_colours(picture.colours(), picture.path)
    else:
        hint = "; colours are named by label_colours=[[r,g,b], ...] (see docs/data.md)"
        values = one_channel(picture.values(), picture, "class indices in one channel", hint)
    return picture.upright(coding.classes(values, picture.path), apply_orientation)


def check_same_size(arrays: dict[Path, Array]) -> None:
    """Raise `DataError` unless all arrays have the height and width of the first."""
    (first, reference), *others = arrays.items()
    for path, array in others:
        if array.shape[:2] != reference.shape[:2]:
            raise DataError(
                f"{path}: found {_size(array)} (height x width); expected {_size(reference)}, the size of {first}"
                f"{_orientations(first, path)}"
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


def _orientations(*paths: Path) -> str:
    """What the orientation tags of files have to do with their sizes; empty when none has a tag."""
    tags = {path: orientation_of(path) for path in paths}
    if all(tag == AS_STORED for tag in tags.values()):
        return ""
    found = ", ".join(f"{path.name} {'none' if tag == AS_STORED else tag}" for path, tag in tags.items())
    return (
        f". Orientation tags: {found}. A tag turns its own file; apply_orientation=false takes all files as stored, "
        "if that is how they belong together"
    )


def _size(array: Array) -> str:
    return f"{array.shape[0]} x {array.shape[1]}"
