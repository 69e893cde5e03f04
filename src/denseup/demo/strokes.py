"""What was brushed on a picture, as a trimap."""

from collections.abc import Sequence

import numpy as np

from denseup.prediction.trimaps import UNKNOWN, grown_trimap
from denseup.results.base import Array, UInt8

FOREGROUND = "#2e7d32"
"""The brush's colour of what certainly belongs to the foreground."""
UNSURE = "#1565c0"
"""That of hair, edges, and all that is to be found out."""
COLOURS = np.array([[int(colour[i : i + 2], 16) for i in (1, 3, 5)] for colour in (FOREGROUND, UNSURE)], np.float32)


def trimap_of(layers: Sequence[Array], band: int) -> UInt8 | None:
    """The trimap that was brushed; None where nothing was.

    What has no colour is background. Where nothing was brushed as unsure, unknown is what lies within `band` pixels of
    the edge of the foreground (`grown_trimap`).

    Args:
        layers: RGBA uint8 [H, W, 4], the later ones on top; of `FOREGROUND` and `UNSURE`, soft at the strokes' edges.
        band: pixels.
    """
    if not layers:
        return None
    trimap = np.zeros(layers[0].shape[:2], np.uint8)
    for layer in layers:
        brushed = layer[..., 3] >= 128
        colours = layer[..., :3][brushed].astype(np.float32)
        nearest = np.abs(colours[:, None] - COLOURS).sum(2).argmin(1)
        trimap[brushed] = np.array([255, UNKNOWN], np.uint8)[nearest]
    if not trimap.any():
        return None
    return trimap if (trimap == UNKNOWN).any() else grown_trimap(trimap, band)
