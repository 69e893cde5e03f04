"""Grad, conn and boundary IoU from their definitions, pixel by pixel and class by class, for small images."""

import numpy as np


def naive_components(mask):
    """4-connected components as sets of pixels, in the column-major order of their first pixels."""
    left = {(x, y) for y, x in np.argwhere(mask).tolist()}
    while left:
        stack = [min(left)]
        component = set()
        while stack:
            x, y = stack.pop()
            if (x, y) in left:
                left.remove((x, y))
                component.add((x, y))
                stack += [(x + 1, y), (x - 1, y), (x, y + 1), (x, y - 1)]
        yield component


def naive_levels(pred, target):
    levels = np.full(pred.shape, -1)
    for k in range(1, 11):
        components = list(naive_components((10 * pred.astype(int) >= 255 * k) & (10 * target.astype(int) >= 255 * k)))
        if components:
            largest = max(components, key=len)
            for y, x in np.argwhere(levels == -1).tolist():
                if (x, y) not in largest:
                    levels[y, x] = k - 1
    return np.where(levels == -1, 10, levels)


def naive_conn(pred, target, trimap):
    levels, total = naive_levels(pred, target) / 10, 0.0
    for y, x in np.argwhere(trimap == 128).tolist():
        phi = []
        for alpha in (pred[y, x] / 255, target[y, x] / 255):
            distance = alpha - levels[y, x]
            phi.append(1 - distance * (distance >= 0.15))
        total += abs(phi[0] - phi[1])
    return total / 1000


def naive_boundary(mask, dilation):
    """Pixels of a mask with a pixel outside it, or outside the image, within the Chebyshev distance."""
    padded, inside = np.pad(mask, dilation), mask.copy()
    height, width = mask.shape
    for y in range(2 * dilation + 1):
        for x in range(2 * dilation + 1):
            inside &= padded[y : y + height, x : x + width]
    return mask & ~inside


def naive_areas(pred, target, num_classes, counted, boundary_width=None):
    rows = []
    for label in range(num_classes):
        p, g = pred == label, target == label
        if boundary_width is not None:
            p, g = naive_boundary(p, boundary_width), naive_boundary(g, boundary_width)
        p, g = p & counted, g & counted
        rows.append([(p & g).sum(), p.sum(), g.sum()])
    return np.asarray(rows).T


def flat_filter(x: np.ndarray, rows: np.ndarray, columns: np.ndarray, mode: str) -> np.ndarray:
    """Convolution with an outer product, by its definition."""
    reach = len(rows) // 2
    padded = np.pad(x, reach, mode=mode)
    outer = np.outer(rows, columns)[::-1, ::-1]
    return sum(
        outer[i, j] * padded[i : i + x.shape[0], j : j + x.shape[1]] for i in range(len(rows)) for j in range(len(rows))
    )


def naive_grad(pred: np.ndarray, target: np.ndarray, trimap: np.ndarray, a2u: bool) -> float:
    radius = 6 if a2u else 4
    at = np.arange(-radius, radius + 1)
    gauss = np.exp(-(at**2) / (2 * 1.4**2)) / (1.4 * np.sqrt(2 * np.pi))
    slope = -at * gauss / 1.4**2
    if a2u:
        gauss, slope = gauss / gauss.sum(), slope / gauss.sum()
    else:
        gauss, slope = gauss / np.sqrt((gauss**2).sum()), slope / np.sqrt((slope**2).sum())
    found, mode = [], "symmetric" if a2u else "edge"
    for image in (pred, target):
        x = image.astype(np.float64)
        span = x.max() - x.min()
        x = (x - x.min()) / (span if span > 0 else 1)
        found.append(np.hypot(flat_filter(x, slope, gauss, mode), flat_filter(x, gauss, slope, mode)))
    difference = (found[0] - found[1])[trimap == 128]
    return float((difference**2).sum()) / (10 if a2u else 1000)
