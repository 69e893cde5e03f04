"""Class colours that stay apart for colour-blind readers too."""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

UInt8 = NDArray[np.uint8]
Float64 = NDArray[np.float64]

# Okabe and Ito, "Color Universal Design" (2008), without its black.
OKABE_ITO = (
    (0, 114, 178),
    (230, 159, 0),
    (0, 158, 115),
    (204, 121, 167),
    (86, 180, 233),
    (213, 94, 0),
    (240, 228, 66),
)

# Black and white for text and the grey of ignored pixels are no class colours.
RESERVED = ((0, 0, 0), (255, 255, 255), (128, 128, 128))

# Machado, Oliveira and Fernandes, "A Physiologically-based Model for Simulation of Color Vision Deficiency", IEEE TVCG
# 2009: linear RGB as protanopes and deuteranopes see it.
VISIONS = (
    ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)),
    ((0.152286, 1.052583, -0.204868), (0.114503, 0.786281, 0.099216), (-0.003882, -0.048116, 1.051998)),
    ((0.367322, 0.860646, -0.227968), (0.280085, 0.672501, 0.047413), (-0.011820, 0.042940, 0.968881)),
)

# sRGB primaries, relative to the white point D65.
LINEAR_RGB_TO_XYZ = (
    (0.433953, 0.376219, 0.189828),
    (0.212671, 0.715160, 0.072169),
    (0.017758, 0.109477, 0.872765),
)

MAX_CLASSES = 256


def palette(num_classes: int) -> UInt8:
    """Colours of the classes, RGB uint8 [num_classes, 3]; class i has the same one whatever num_classes is.

    The first seven are those of Okabe and Ito. Each further one is, of a fixed set of colours, the one that is farthest
    in CIELAB from all before it, for whichever of normal, protan and deutan vision tells them apart least.

    Raises:
        ValueError: for num_classes outside 1..256.
    """
    if not 1 <= num_classes <= MAX_CLASSES:
        raise ValueError(f"num_classes must be in 1..{MAX_CLASSES}, got {num_classes}")
    return _all_colours()[:num_classes].copy()


@lru_cache(maxsize=1)
def _all_colours() -> UInt8:
    candidates = _candidates()
    appearance = _appearance(candidates)
    colours = [np.asarray(colour, np.uint8) for colour in OKABE_ITO]
    distance = np.full(len(candidates), np.inf)
    for colour in (*RESERVED, *OKABE_ITO):
        distance = np.minimum(distance, _distance(appearance, _appearance(np.asarray([colour], np.uint8))))
    while len(colours) < MAX_CLASSES:
        # Rounded, so that another machine's arithmetic gives the same order.
        chosen = int(distance.round(2).argmax())
        colours.append(candidates[chosen])
        distance = np.minimum(distance, _distance(appearance, appearance[chosen : chosen + 1]))
    return np.stack(colours)


def _candidates() -> UInt8:
    """An even choice of RGB colours [n, 3] that are neither nearly black nor nearly white."""
    steps = np.linspace(24, 248, 12).round().astype(np.uint8)
    colours = np.stack(np.meshgrid(steps, steps, steps, indexing="ij"), axis=-1).reshape(-1, 3)
    lightness = _appearance(colours)[:, 0, 0]
    return colours[(lightness > 25) & (lightness < 95)]


def _appearance(rgb: UInt8) -> Float64:
    """CIELAB coordinates of colours [n, 3] under each kind of vision, float64 [n, visions, 3]."""
    srgb = rgb.astype(np.float64) / 255
    linear = np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)
    seen = np.einsum("vij,nj->nvi", np.asarray(VISIONS), linear).clip(0, 1)
    xyz = seen @ np.asarray(LINEAR_RGB_TO_XYZ).T
    x, y, z = np.moveaxis(np.where(xyz > 216 / 24389, np.cbrt(xyz), (24389 / 27 * xyz + 16) / 116), -1, 0)
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=-1)


def _distance(appearance: Float64, other: Float64) -> Float64:
    """Colour difference [n] as the vision that sees the least of it does."""
    difference: Float64 = np.linalg.norm(appearance - other, axis=-1).min(axis=-1)
    return difference
