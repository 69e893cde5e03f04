"""The metrics as their definitions read: whole images in floating point, threshold by threshold, class by class."""

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
UNKNOWN, STEP, LEAST_DISTANCE = 128, 0.1, 0.15
SIGMA, RADIUS = 1.4, 4


def sad(pred: Array, target: Array, trimap: Array) -> float:
    """Sum of absolute differences over the unknown region, in thousands; arguments uint8 [H, W], as for all below."""
    p, g, unknown = _alphas(pred, target, trimap)
    return float((np.abs(p - g) * unknown).sum() / 1000)


def mse(pred: Array, target: Array, trimap: Array) -> float:
    """Mean squared difference over the unknown region."""
    p, g, unknown = _alphas(pred, target, trimap)
    return float(((p - g) ** 2 * unknown).sum() / unknown.sum())


def grad(pred: Array, target: Array, trimap: Array) -> float:
    """Gradient error: two filters of 9 × 9 taps over both whole images."""
    p, g, unknown = _alphas(pred, target, trimap)
    x = np.arange(-RADIUS, RADIUS + 1, dtype=np.float64)
    gauss = np.exp(-(x**2) / (2 * SIGMA**2)) / (SIGMA * np.sqrt(2 * np.pi))
    taps = np.outer(gauss, -x * gauss / SIGMA**2)
    taps /= np.sqrt((taps**2).sum())
    p_size, g_size = (_gradient(image, taps) for image in (p, g))
    return float(((p_size - g_size) ** 2 * unknown).sum() / 1000)


def conn(pred: Array, target: Array, trimap: Array) -> float:
    """Connectivity error: at each threshold the components of the mask that both mattes share, from the lowest up."""
    p, g, unknown = _alphas(pred, target, trimap)
    level = np.full(p.shape, -1.0)
    for k in range(1, 11):
        mask = (p >= k / 10) & (g >= k / 10)
        if not mask.any():
            continue
        _, labels, statistics, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=4)
        largest = labels == 1 + np.argmax(statistics[1:, cv2.CC_STAT_AREA])
        level[(level == -1) & ~largest] = (k - 1) * STEP
    level[level == -1] = 1
    p_far, g_far = (distance * (distance >= LEAST_DISTANCE) for distance in (p - level, g - level))
    return float((np.abs(p_far - g_far) * unknown).sum() / 1000)


def mean_iou(pred: Array, target: Array, num_classes: int, ignored: int = 255) -> float:
    """Mean intersection over union, class by class."""
    valid = target != ignored
    return _mean_ratio([((pred == c) & valid, (target == c) & valid) for c in range(num_classes)])


def boundary_iou(pred: Array, target: Array, num_classes: int, ignored: int = 255) -> float:
    """Mean boundary IoU, class by class, by repeated erosion with a 3 × 3 window as in the authors' code."""
    valid = target != ignored
    masks = ((_boundary(pred == c) & valid, _boundary(target == c) & valid) for c in range(num_classes))
    return _mean_ratio(list(masks))


def _boundary(mask: Array) -> Array:
    height, width = mask.shape
    dilation = max(1, round(0.02 * np.sqrt(height**2 + width**2)))
    padded = cv2.copyMakeBorder(mask.astype(np.uint8), 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=0)
    eroded = cv2.erode(padded, np.ones((3, 3), np.uint8), iterations=dilation)[1:-1, 1:-1]
    return mask & (eroded == 0)


def _mean_ratio(masks: list[tuple[Array, Array]]) -> float:
    unions = [(p | g).sum() for p, g in masks]
    return float(np.mean([(p & g).sum() / union for (p, g), union in zip(masks, unions, strict=True) if union]))


def _gradient(image: Array, taps: Array) -> Array:
    low, high = image.min(), image.max()
    stretched = (image - low) / (high - low)
    along, across = (
        cv2.filter2D(stretched, cv2.CV_64F, kernel, borderType=cv2.BORDER_REPLICATE) for kernel in (taps, taps.T)
    )
    return np.sqrt(along**2 + across**2)


def _alphas(pred: Array, target: Array, trimap: Array) -> tuple[Array, Array, Array]:
    return pred / 255, target / 255, trimap == UNKNOWN
