"""What mattes and trimaps show together: images without an unknown region, mattes without a soft edge."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from denseup.data.checking.survey import Found, Survey, histogram
from denseup.data.reading.decoding import Array

UNKNOWN, OPAQUE = 128, 255
# Discs of this diameter and more leave unknown pixels along every edge, see `compositing.trimap_from_alpha`.
LEAST_OPENING = 3


class MattingSurvey(Survey):
    """Looks at the mattes, and trimaps if there are any, of (image, alpha[, trimap]) and of cut-outs with alpha.

    `trimap_width` is that of trimaps which will be made from the mattes; None: the widths of training.
    """

    def __init__(self, trimap_width: float | None = None) -> None:
        self.width = LEAST_OPENING if trimap_width is None else trimap_width
        self.mattes, self.highest = 0, 0
        self.known, self.hard, self.only_hard = Found(), Found(), Found()

    def add(self, paths: list[Path], arrays: Mapping[Path, Array], orientations: Mapping[Path, int]) -> None:
        """See `Survey`."""
        alpha = self._alpha(paths, arrays)
        if alpha is None:
            return
        counts = histogram(alpha)
        soft = counts[1:OPAQUE].any()
        unknown = soft or (counts[0] and counts[OPAQUE] and self.width >= LEAST_OPENING)
        if len(paths) > 2 and paths[2] in arrays:
            unknown = (arrays[paths[2]] == UNKNOWN).any()
        self.mattes += 1
        self.highest = max(self.highest, int(np.flatnonzero(counts)[-1]))
        self.hard.note(paths[min(len(paths) - 1, 1)], not soft)
        self.only_hard.note(paths[min(len(paths) - 1, 1)], bool(unknown) and not soft)
        self.known.note(paths[0], not unknown)

    def merge(self, other: Survey) -> None:
        """See `Survey`."""
        assert isinstance(other, MattingSurvey)
        self.mattes += other.mattes
        self.highest = max(self.highest, other.highest)
        self.known.merge(other.known)
        self.hard.merge(other.hard)
        self.only_hard.merge(other.only_hard)

    def together(self) -> list[str]:
        """See `Survey`."""
        if not 0 < self.highest <= UNKNOWN:
            return []
        return [
            f"the largest alpha of all {self.mattes} mattes is {self.highest} of {OPAQUE}. If that means opaque, "
            f"say data.alpha_max (in 8 bits: data.alpha_max={self.highest})"
        ]

    def suspects(self) -> list[tuple[Path, str]]:
        """See `Survey`."""
        known = self.known.each("an image without an unknown region, which counts for nothing")
        return known + self.only_hard.each("a matte without a value between transparent and opaque")

    def warnings(self) -> list[str]:
        """See `Survey`."""
        lines = []
        if self.known.count:
            lines.append(f"images without an unknown region, which count for nothing: {self.known.of(self.mattes)}")
        if self.hard.count:
            lines.append(f"mattes without a value between transparent and opaque: {self.hard.of(self.mattes)}")
        return lines + self.together()

    @staticmethod
    def _alpha(paths: list[Path], arrays: Mapping[Path, Array]) -> Array | None:
        if len(paths) > 1:
            return arrays.get(paths[1])
        cutout = arrays.get(paths[0])
        return np.ascontiguousarray(cutout[..., 3]) if cutout is not None and cutout.shape[2] == 4 else None
