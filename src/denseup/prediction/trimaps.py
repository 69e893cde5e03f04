"""Trimaps: read, or grown from a rough mask."""

import cv2
import numpy as np

from denseup.data.reading.decoding import Array, Picture
from denseup.data.reading.levels import alpha_bytes

UNKNOWN = 128
BAND = 20
"""Pixels."""


def grown_trimap(mask: Array, band: int = BAND) -> Array:
    """Unknown where the mask's edge is at most `band` pixels away, on either side; and where it is itself half open.

    Args:
        mask: uint8 [H, W]; up to a third of 255 background, from two thirds on foreground, between them unknown.
        band: pixels, by which foreground and background shrink, as by erosion with a disk of that radius.

    Returns:
        uint8 [H, W] of 0, 128 and 255.
    """
    trimap = np.full(mask.shape, UNKNOWN, np.uint8)
    for level, sure in ((255, mask >= 170), (0, mask <= 85)):
        if sure.all():
            trimap[:] = level
        elif sure.any():
            trimap[cv2.distanceTransform(sure.astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE) > band] = level
    return trimap


def read_mask(picture: Picture, apply_orientation: bool = True) -> Array:
    """A rough mask as uint8 [H, W]: grey levels, or, of a picture with transparency, its alpha channel.

    0 and 1 mean 0 and 255, as masks are often stored.
    """
    levels = picture.levels()
    if levels.ndim == 3 and levels.shape[2] in (2, 4) and (levels[..., -1] != np.iinfo(levels.dtype).max).any():
        grey = levels[..., -1] if levels.dtype == np.uint8 else (levels[..., -1] >> 8).astype(np.uint8)
    elif levels.ndim == 2 and levels.dtype == np.uint8 and levels.max() == 1:
        grey = levels * np.uint8(255)
    else:
        grey = alpha_bytes(picture, None)
    return picture.upright(grey, apply_orientation)
