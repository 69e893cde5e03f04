"""Which class is taken for which: the confusion matrix of semantic segmentation."""

import numpy as np

from denseup.metrics.functional.inputs import ArrayLike, Float64, Int64, segmentation_inputs
from denseup.metrics.functional.segmentation import IGNORED


def confusion(pred: ArrayLike, target: ArrayLike, num_classes: int, ignore_index: int = IGNORED) -> Int64:
    """Pixels of each true class (row) by predicted class (column), int64 [num_classes, num_classes].

    Pixels whose truth is ignored do not count. The diagonal is the intersection, row sums are the truth's areas and
    column sums the prediction's: those of `class_areas`. Arguments and errors as there.
    """
    p, g = segmentation_inputs(pred, target, num_classes, ignore_index)
    counted = g != ignore_index
    places = g[counted].astype(np.int64) * num_classes + p[counted]
    return np.bincount(places, minlength=num_classes**2).astype(np.int64).reshape(num_classes, num_classes)


def by_row(matrix: Int64) -> Float64:
    """Shares of each row, float64; NaN in the row of a class that is never true."""
    total = matrix.sum(1, keepdims=True)
    shares = np.full(matrix.shape, np.nan)
    np.divide(matrix, total, out=shares, where=total > 0)
    return shares
