"""Calibration: whether predictions that are 80 % sure are right 80 % of the time.

Naeini, Cooper and Hauskrecht, "Obtaining Well Calibrated Probabilities Using Bayesian Binning", AAAI 2015; with the
15 bins of Guo, Pleiss, Sun and Weinberger, "On Calibration of Modern Neural Networks", ICML 2017.
"""

from typing import NamedTuple

import numpy as np

from denseup.metrics.functional.inputs import ArrayLike, Float64, Int64, as_arrays

BINS = 15


class Reliability(NamedTuple):
    """Pixels by their confidence, bin i being that of ((i - 1) / n, i / n]; confidence 0 is in the first one.

    Args:
        pixels: in each bin, int64 [n].
        right: of these, whose class is the true one, int64 [n].
        confidence: their sum, float64 [n].
    """

    pixels: Int64
    right: Int64
    confidence: Float64

    @property
    def accuracy(self) -> Float64:
        """Share of each bin's pixels that are right, float64 [n]; NaN for an empty one."""
        return _mean(self.right, self.pixels)

    @property
    def mean_confidence(self) -> Float64:
        """Of each bin's pixels, float64 [n]; NaN for an empty bin."""
        return _mean(self.confidence, self.pixels)

    @property
    def error(self) -> float:
        """Expected calibration error: Σ over bins of |right - confidence| / pixels in all; NaN without any."""
        total = int(self.pixels.sum())
        return float(np.abs(self.right - self.confidence).sum() / total) if total else float("nan")


def _mean(total: Int64 | Float64, number: Int64) -> Float64:
    mean = np.full(number.shape, np.nan)
    np.divide(total, number, out=mean, where=number > 0)
    return mean


def reliability(confidence: ArrayLike, pred: ArrayLike, target: ArrayLike, ignore_index: int, bins: int) -> Reliability:
    """Count the pixels of an image whose truth is not ignored.

    Args:
        confidence: probability of the predicted class, floating point in [0, 1], of any shape.
        pred, target: predicted and true labels, of the same shape.
        ignore_index: label of true pixels that do not count.
        bins: of equal width.

    Raises:
        ValueError: shapes that differ, no bin, or a confidence that is NaN or outside of [0, 1].
    """
    if bins < 1:
        raise ValueError(f"bins must be at least 1, got {bins}")
    sure, p, g = as_arrays(confidence=confidence, pred=pred, target=target)
    counted = g != ignore_index
    sure = sure[counted].astype(np.float64)
    if not ((sure >= 0) & (sure <= 1 + 1e-6)).all():  # what a softmax in float32 may exceed 1 by; false for NaN
        raise ValueError("confidence must be in [0, 1]")
    place = np.clip(np.ceil(sure * bins).astype(np.int64) - 1, 0, bins - 1)
    right = (p == g)[counted]
    pixels, those_right = (np.bincount(part, minlength=bins).astype(np.int64) for part in (place, place[right]))
    return Reliability(pixels, those_right, np.bincount(place, sure, bins).astype(np.float64))
