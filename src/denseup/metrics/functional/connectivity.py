"""Connectivity error of an alpha matte: how far pixels fall off the largest component that both mattes share.

Rhemann et al., "A Perceptually Motivated Online Benchmark for Image Matting", CVPR 2009, as the MATLAB evaluation
code of Composition-1k computes it, with a step of 0.1. Everything here is integer arithmetic, so it is exact.
"""

import cv2
import numpy as np

from denseup.metrics.functional.inputs import ArrayLike, Bool, Int64, UInt8, matting_inputs, uint8_images

# The least uint8 value v with v / 255 ≥ k / 10, for k = 1..10. Thresholds in floating point lose 153 at k = 6.
THRESHOLDS = tuple(-(-255 * k // 10) for k in range(1, 11))

# d = p/255 - k/10 in units of 1/2550 is the integer 10·p - 255·k; the metric disregards d < 0.15, that is 382.5.
UNITS_PER_ALPHA = 2550
LEAST_DISTANCE = 383


def largest_component(mask: Bool) -> Bool:
    """The largest 4-connected component of a mask [H, W] that is not empty.

    Of several of the same size it is the one that a column-major scan meets first, as in MATLAB.
    """
    x, y, width, height = cv2.boundingRect(mask.view(np.uint8))
    window = np.s_[y : y + height, x : x + width]
    _, labels, stats, _ = cv2.connectedComponentsWithStats(mask[window].view(np.uint8), connectivity=4)
    areas = stats[1:, cv2.CC_STAT_AREA]
    candidates = 1 + np.flatnonzero(areas == areas.max())
    result = np.zeros_like(mask)
    np.equal(labels, first_in_column_major_order(labels, stats, candidates), out=result[window])
    return result


def first_in_column_major_order(labels: np.ndarray, stats: np.ndarray, candidates: Int64) -> int:
    """Which of the candidate labels [N] a column-major scan of labels [H, W] meets first."""
    column = labels[:, stats[candidates, cv2.CC_STAT_LEFT].min()]
    return int(column[np.isin(column, candidates)][0])


def connectivity_levels(pred: ArrayLike, target: ArrayLike) -> UInt8:
    """How many steps of 0.1 each pixel stays in the largest component where both alphas reach the threshold.

    Args:
        pred: predicted alpha, uint8 [H, W].
        target: true alpha, uint8 [H, W].

    Returns:
        uint8 [H, W]: 10 · l, with l the benchmark's map of the last threshold at which a pixel is connected.
    """
    p, g = uint8_images(pred=pred, target=target)
    return _levels(p, g)


def _levels(pred: UInt8, target: UInt8) -> UInt8:
    common = np.minimum(pred, target)
    level = np.zeros_like(common)
    connected = np.ones(common.shape, np.bool_)
    size = common.size
    for threshold in THRESHOLDS:
        shared = common >= threshold
        previous_size, size = size, int(np.count_nonzero(shared))
        if size == 0:
            # A level that nothing reaches is skipped, and with it all later ones: what is connected stays so.
            level[connected] = len(THRESHOLDS)
            break
        # The masks are nested: one of the same size is the same mask, with the same components.
        if size != previous_size:
            connected &= largest_component(shared)
        # A component lies inside the one before or apart from it. Apart, no pixel stays connected, so all is known.
        if not connected.any():
            break
        level += connected
    return level


def conn(pred: ArrayLike, target: ArrayLike, trimap: ArrayLike) -> float:
    """Connectivity error over the unknown region, in thousands.

    Components are those of the whole image, so known pixels count.

    Args:
        pred: predicted alpha, uint8 [H, W].
        target: true alpha, uint8 [H, W].
        trimap: uint8 [H, W] of 0, 128 (unknown) and 255.

    Returns:
        Σ|φ_p - φ_g| / 1000 with φ = 1 - d·[d ≥ 0.15] and d = alpha - l; 0 for an empty unknown region.

    Raises:
        ValueError: for a dtype other than uint8, shapes that differ, or another value in the trimap.
    """
    p, g, unknown = matting_inputs(pred, target, trimap)
    # Equal alphas have equal φ, whatever the level.
    relevant = unknown & (p != g)
    if not relevant.any():
        return 0.0
    level = 255 * _levels(p, g)[relevant].astype(np.int32)
    distances = (10 * alpha[relevant].astype(np.int32) - level for alpha in (p, g))
    p_far, g_far = (np.where(distance >= LEAST_DISTANCE, distance, 0) for distance in distances)
    return int(np.abs(p_far - g_far).sum(dtype=np.int64)) / UNITS_PER_ALPHA / 1000
