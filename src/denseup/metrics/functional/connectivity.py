"""Connectivity error of an alpha matte: how far pixels fall off the largest component that both mattes share.

Rhemann et al., "A Perceptually Motivated Online Benchmark for Image Matting", CVPR 2009, as the MATLAB evaluation
code of Composition-1k computes it, with a step of 0.1. Everything here is integer arithmetic, so it is exact; the
compiled kernel (`native/connectivity`) and, without it, OpenCV give the same numbers.
"""

import ctypes

import cv2
import numpy as np

from denseup import native
from denseup.metrics.functional.inputs import ArrayLike, Bool, UInt8, matting_inputs, pointer, uint8_images

# The least uint8 value v with v / 255 ≥ k / 10, for k = 1..10. Thresholds in floating point lose 153 at k = 6.
THRESHOLDS = tuple(-(-255 * k // 10) for k in range(1, 11))

# d = p/255 - k/10 in units of 1/2550 is the integer 10·p - 255·k; the metric disregards d < 0.15, that is 382.5.
UNITS_PER_ALPHA = 2550
LEAST_DISTANCE = 383

# Any uint8 other than a mask's 0 and 1.
FILLED = 2


def largest_component(mask: Bool) -> Bool:
    """The largest 4-connected component of a mask [H, W] that is not empty.

    Of several of the same size it is the one that a column-major scan meets first, as in MATLAB.
    """
    _, labels = cv2.connectedComponents(mask.view(np.uint8), connectivity=4)
    areas = np.bincount(labels.ravel())
    areas[0] = 0
    largest = np.flatnonzero(areas == areas.max())
    first = largest[0]
    if len(largest) > 1:
        columns = labels.T
        first = columns[np.isin(columns, largest)][0]
    component: Bool = labels == first
    return component


def majority_component(mask: Bool, inside: Bool) -> Bool | None:
    """The component of a mask [H, W] around pixels known to be connected, if it has more than half of the mask."""
    y, x = divmod(int(inside.argmax()), mask.shape[1])
    painted = mask.astype(np.uint8)
    area, *_ = cv2.floodFill(painted, None, (x, y), FILLED, flags=4)
    return painted == FILLED if 2 * area > np.count_nonzero(mask) else None


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
    kernels = native.library()
    # The kernel counts pixels in 32 bits.
    if kernels is None or pred.size >= 2**31:
        return _levels_by_opencv(pred, target)
    level = np.empty_like(pred)
    if kernels.denseup_connectivity_levels(*map(pointer, (pred, target)), *pred.shape, pointer(level)):
        raise MemoryError(f"no memory left for the connectivity of an image {list(pred.shape)}")
    return level


def _levels_by_opencv(pred: UInt8, target: UInt8) -> UInt8:
    common = np.minimum(pred, target)
    level = np.full_like(common, len(THRESHOLDS))
    component: Bool | None = None
    # From the highest threshold down, so that the lowest one a pixel fails at is written last. Each mask contains the
    # one before: its largest component is mostly the last one grown, and filling an area is faster than labelling all.
    for k, threshold in reversed(list(enumerate(THRESHOLDS))):
        shared = common >= threshold
        if not shared.any():
            # A level that no pixel reaches is skipped.
            continue
        grown = None if component is None else majority_component(shared, inside=component)
        component = largest_component(shared) if grown is None else grown
        level = cv2.copyTo(level, component.view(np.uint8), np.full_like(level, k))
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
    if not unknown.any():
        return 0.0
    return _error(p, g, unknown, _levels(p, g)) / UNITS_PER_ALPHA / 1000


def _error(pred: UInt8, target: UInt8, unknown: Bool, level: UInt8) -> int:
    """Σ|φ_p - φ_g| over the unknown region in units of 1/2550."""
    kernels = native.library()
    if kernels is None:
        return _error_by_numpy(pred, target, unknown, level)
    total = np.empty((), np.int64)
    images = map(pointer, (pred, target, unknown, level))
    kernels.denseup_connectivity_error(*images, ctypes.c_long(pred.size), pointer(total))
    return int(total)


def _error_by_numpy(pred: UInt8, target: UInt8, unknown: Bool, level: UInt8) -> int:
    least = 255 * level[unknown].astype(np.int16)
    distances = [10 * alpha[unknown].astype(np.int16) - least for alpha in (pred, target)]
    p_far, g_far = (distance * (distance >= LEAST_DISTANCE) for distance in distances)
    return int(np.abs(p_far - g_far).sum(dtype=np.int64))
