"""SAD and MSE of an alpha matte over the unknown region of its trimap.

Rhemann et al., "A Perceptually Motivated Online Benchmark for Image Matting", CVPR 2009, in the convention of
Composition-1k (Xu et al., "Deep Image Matting", CVPR 2017): the values are those of its MATLAB evaluation code.
Alpha is uint8, 255 being opaque. A prediction is expected to carry the trimap's known pixels, as the saved mattes
of that benchmark do; sad and mse do not look at them, grad and conn do.
"""

import cv2
import numpy as np

from denseup.metrics.functional.inputs import ArrayLike, matting_inputs


def sad(pred: ArrayLike, target: ArrayLike, trimap: ArrayLike) -> float:
    """Sum of absolute differences over the unknown region, in thousands.

    Args:
        pred: predicted alpha, uint8 [H, W].
        target: true alpha, uint8 [H, W].
        trimap: uint8 [H, W] of 0, 128 (unknown) and 255.

    Returns:
        Σ|p - g| / 255 / 1000; 0 for an empty unknown region.

    Raises:
        ValueError: for a dtype other than uint8, shapes that differ, or another value in the trimap.
    """
    p, g, unknown = matting_inputs(pred, target, trimap)
    return int(cv2.absdiff(p, g)[unknown].sum(dtype=np.int64)) / 255 / 1000


def mse(pred: ArrayLike, target: ArrayLike, trimap: ArrayLike) -> float:
    """Mean squared difference over the unknown region, alpha in 0..1.

    Arguments and errors as for `sad`.

    Returns:
        Σ(p - g)² / (255² · pixels); NaN for an empty unknown region, which a mean over images has to leave out.
    """
    p, g, unknown = matting_inputs(pred, target, trimap)
    difference = cv2.absdiff(p, g)[unknown].astype(np.int64)
    return int(difference @ difference) / (255**2 * difference.size) if difference.size else float("nan")
