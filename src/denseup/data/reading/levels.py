"""From the grey levels of a file to a matte or a trimap, with a complaint about all that could mean two things."""

from collections.abc import Mapping

import numpy as np

from denseup.data.reading.decoding import Array, DataError, Picture, kind_of

TRIMAP_LEVELS = (0, 128, 255)
TRIMAP_TOLERANCE = 10
# What a float may exceed 0..1 by and still be rounding.
FLOAT_SLACK = 1e-3


def one_channel(array: Array, picture: Picture, expected: str, hint: str = "") -> Array:
    """[H, W] of an array whose colour channels are equal and whose alpha channel, if any, is opaque."""
    if array.ndim == 2:
        return array
    colours, alpha = (array[..., :-1], array[..., -1]) if array.shape[2] in (2, 4) else (array, None)
    if (colours != colours[..., :1]).any():
        raise DataError(f"{picture.path}: found {kind_of(array)}; expected {expected}, not colours{hint}")
    grey = colours[..., 0]
    opaque = np.iinfo(array.dtype).max
    if alpha is not None and not (alpha == opaque).all() and not np.array_equal(alpha, grey):
        raise DataError(
            f"{picture.path}: found {kind_of(array)}, an alpha channel that is neither opaque nor equal to the grey "
            f"levels; expected {expected}: save the one that is meant without the other"
        )
    return grey


def alpha_bytes(picture: Picture, alpha_max: float | None) -> Array:
    """The matte of a picture as uint8 [H, W], 255 opaque; see `io.read_alpha`."""
    levels = picture.levels() if alpha_max is None or picture.image.mode in ("P", "PA") else picture.values()
    return scaled_alpha(one_channel(levels, picture, "a grey alpha of 8 or 16 bits"), picture, alpha_max)


def scaled_alpha(grey: Array, picture: Picture, alpha_max: float | None) -> Array:
    """Alpha values [H, W] of a picture's depth as uint8, `alpha_max` becoming 255; see `io.read_alpha`."""
    _check_finite(grey, picture)
    if alpha_max is None:
        alpha_max = _opaque(grey, picture)
        if grey.dtype == np.uint8:
            return grey
    elif alpha_max <= 0:
        raise ValueError(f"alpha_max={alpha_max}: expected the file value above 0 that means opaque")
    least, most = float(grey.min()), float(grey.max())
    slack = FLOAT_SLACK * alpha_max if grey.dtype.kind == "f" else 0
    if least < -slack or most > alpha_max + slack:
        raise DataError(
            f"{picture.path}: found alpha values {least:g} to {most:g}; expected 0 (transparent) to {alpha_max:g} "
            f"(opaque). Another value is said by alpha_max, as in data.alpha_max={most:g}"
        )
    return np.rint(np.clip(grey.astype(np.float64) * (255 / alpha_max), 0, 255)).astype(np.uint8)


def _check_not_coded(grey: Array, picture: Picture) -> None:
    """Raise `DataError` for a matte so dark in its depth that it will be one of another scale."""
    darkest = {"uint8": 1, "uint16": 255}.get(str(grey.dtype), 0)
    most = int(grey.max()) if darkest else 0
    if 0 < most <= darkest:
        full = np.iinfo(grey.dtype).max
        scales = f"alpha_max={most} (on the command line: data.alpha_max={most})"
        if grey.dtype == np.uint16:
            scales = f"alpha_max={most}, alpha_max=255 (on the command line: data.alpha_max=255)"
        raise DataError(
            f"{picture.path}: found no alpha value above {most}, in {grey.dtype}, where {full} is opaque; expected "
            f"0 to {full}. If another value means opaque, say {scales}; if the matte is meant to be that "
            f"transparent, alpha_max={full}"
        )


def trimap_levels(picture: Picture, trimap_values: Mapping[int, int] | None) -> Array:
    """The trimap of a picture as uint8 [H, W] of 0, 128 and 255; see `io.read_trimap`."""
    if trimap_values:
        return _mapped(picture, checked_trimap_values(trimap_values))
    grey = _trimap_bytes(one_channel(picture.levels(), picture, "a grey trimap of 8 or 16 bits"), picture)
    found = np.unique(grey)
    levels = np.array(TRIMAP_LEVELS, np.int16)
    distance = np.abs(np.arange(256, dtype=np.int16)[:, None] - levels)
    stray = np.setdiff1d(found, np.flatnonzero(distance.min(1) <= TRIMAP_TOLERANCE))
    if stray.size or _looks_coded(found):
        raise _not_a_trimap(picture, stray if stray.size else found)
    return levels[distance.argmin(1)].astype(np.uint8)[grey]


def checked_trimap_values(trimap_values: Mapping[int, int] | None) -> dict[int, int]:
    """The mapping with integer keys, as Hydra may give it others; a `ValueError` for levels that a trimap has not."""
    values = {int(value): int(level) for value, level in (trimap_values or {}).items()}
    wrong = sorted(set(values.values()) - set(TRIMAP_LEVELS))
    if wrong:
        raise ValueError(
            f"trimap_values={values}: found the levels {some(np.array(wrong))}; expected file values mapped to 0 "
            "(background), 128 (unknown) or 255 (foreground)"
        )
    return values


def some(values: Array, most: int = 8) -> str:
    """The first few of some numbers, and how many there are."""
    shown = ", ".join(f"{v:g}" for v in values[:most])
    return shown if values.size <= most else f"{shown}, ... ({values.size} different ones)"


def _opaque(grey: Array, picture: Picture) -> float:
    """The value that means opaque in the depth of a file."""
    _check_not_coded(grey, picture)
    if grey.dtype.kind == "f":
        return 1.0
    if grey.dtype in (np.uint8, np.uint16):
        return float(np.iinfo(grey.dtype).max)
    raise DataError(
        f"{picture.path}: found {kind_of(grey)}; expected a grey alpha of 8 or 16 bits, or the value that means opaque "
        f"as alpha_max (on the command line: data.alpha_max={int(grey.max())})"
    )


def _trimap_bytes(grey: Array, picture: Picture) -> Array:
    """uint8 levels of a trimap. The levels 0, 128 and 255 may be stored as they are in a deeper file."""
    _check_finite(grey, picture)
    if grey.dtype == np.uint8:
        return grey
    least, most = grey.min(), grey.max()
    if grey.dtype.kind == "f" and most <= 1 + FLOAT_SLACK:
        grey = np.rint(grey * np.float32(255))
    elif grey.dtype == np.uint16 and most > 255:
        grey = (grey.astype(np.uint32) + 128) // 257
    if least < 0 or grey.max() > 255 or (grey != np.rint(grey)).any():
        raise _not_a_trimap(picture, np.unique(grey))
    return grey.astype(np.uint8)


def _looks_coded(found: Array) -> bool:
    """Whether small values are codes, as 1 and 2 are, not noise around 0: noise takes many values and leaves others."""
    small = found[found <= TRIMAP_TOLERANCE]
    return bool(small.any()) and (small.size == found.size or (small[0] == 0 and found.size <= len(TRIMAP_LEVELS)))


def _mapped(picture: Picture, trimap_values: dict[int, int]) -> Array:
    values = one_channel(picture.values(), picture, "trimap values in one channel")
    found, where = np.unique(values, return_inverse=True)
    levels = np.array([trimap_values.get(value, value) for value in found.tolist()])
    stray = found[~np.isin(levels, TRIMAP_LEVELS)]
    if stray.size:
        raise DataError(f"{picture.path}: found trimap values {some(stray)}; expected 0, 128, 255 or {trimap_values}")
    return levels.astype(np.uint8)[where].reshape(values.shape)


def _not_a_trimap(picture: Picture, found: Array) -> DataError:
    stored = np.unique(picture.values())
    codes = stored.tolist() if stored.size == len(TRIMAP_LEVELS) else [0, 1, 2]
    example = ", ".join(f"{code}: {level}" for code, level in zip(codes, TRIMAP_LEVELS, strict=True))
    inside = "" if np.isin(found, stored).all() else f" (stored as {some(stored)})"
    return DataError(
        f"{picture.path}: found trimap values {some(found)}{inside}; expected 0 (background), 128 (unknown) and 255 "
        f"(foreground). Other codes are said by trimap_values, as in 'data.trimap_values={{{example}}}'"
    )


def _check_finite(grey: Array, picture: Picture) -> None:
    if grey.dtype.kind == "f" and not np.isfinite(grey).all():
        raise DataError(f"{picture.path}: found NaN or infinity; expected finite values")
