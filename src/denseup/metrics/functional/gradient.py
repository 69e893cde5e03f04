"""Gradient error of an alpha matte: the difference of gaussian-derivative magnitudes over the unknown region.

Rhemann et al., "A Perceptually Motivated Online Benchmark for Image Matting", CVPR 2009, as the MATLAB evaluation
code of Composition-1k computes it. Its 9 × 9 derivative filter is an outer product of two vectors, so two passes of
9 taps give the same value as one of 81.
"""

import cv2
import numpy as np

from denseup.metrics.functional.inputs import (
    AnyArray,
    ArrayLike,
    Bool,
    Float64,
    image_arrays,
    matting_inputs,
    unknown_region,
)

SIGMA = 1.4
RADIUS = 4
RADIUS_A2U = 6

# Rows at a time, so that the images in float64 stay in the processor's cache.
STRIP = 64


def gaussian_and_derivative(sigma: float, radius: int) -> tuple[Float64, Float64]:
    """A gaussian density and its derivative at -radius..radius, float64 [2 · radius + 1] each."""
    x = np.arange(-radius, radius + 1, dtype=np.float64)
    gauss = np.exp(-(x**2) / (2 * sigma**2)) / (sigma * np.sqrt(2 * np.pi))
    return gauss, -x * gauss / sigma**2


def stretch(image: AnyArray, low: float, high: float) -> Float64:
    """The image with `low` at 0 and `high` at 1; if these are the same, at 0: a constant image has no gradient."""
    alpha = image.astype(np.float64)
    alpha -= low
    alpha /= high - low if high > low else 1.0
    return alpha


def gradient_magnitude(image: Float64, gauss: Float64, derivative: Float64, border: int) -> Float64:
    """√(gx² + gy²) of an image [H, W] under separable filters, with one of OpenCV's borders."""
    gx = cv2.sepFilter2D(image, cv2.CV_64F, derivative, gauss, borderType=border)
    gy = cv2.sepFilter2D(image, cv2.CV_64F, gauss, derivative, borderType=border)
    magnitude: Float64 = np.sqrt(gx**2 + gy**2)
    return magnitude


def crop_to(unknown: Bool, margin: int) -> tuple[slice, slice]:
    """Rows and columns that hold the unknown region and the pixels a filter of that radius reads around it."""
    x, y, width, height = cv2.boundingRect(unknown.view(np.uint8))
    return slice(max(0, y - margin), y + height + margin), slice(max(0, x - margin), x + width + margin)


def strip_magnitude(
    image: AnyArray, rows: slice, span: tuple[float, float], filters: tuple[Float64, Float64], border: int
) -> Float64:
    """Gradient magnitude of some rows of an image that is stretched from `span` to 0..1."""
    margin = len(filters[0]) // 2
    top = max(0, rows.start - margin)
    strip = gradient_magnitude(stretch(image[top : rows.stop + margin], *span), *filters, border)
    return strip[rows.start - top :][: rows.stop - rows.start]


def squared_difference(
    pred: AnyArray, target: AnyArray, unknown: Bool, filters: tuple[Float64, Float64], border: int
) -> float:
    """Σ over the unknown region of the squared difference of the stretched images' gradient magnitudes."""
    if not unknown.any():
        return 0.0
    # Only the minimum and the maximum need the whole image; what lies beyond the filter's reach adds nothing.
    window = crop_to(unknown, margin=len(filters[0]) // 2)
    inside = unknown[window]
    spans = [(float(image.min()), float(image.max())) for image in (pred, target)]
    differences = []
    for start in range(0, len(inside), STRIP):
        rows = slice(start, min(start + STRIP, len(inside)))
        if inside[rows].any():
            p, g = (
                strip_magnitude(image[window], rows, span, filters, border)
                for image, span in zip((pred, target), spans, strict=True)
            )
            p -= g
            differences.append(p[inside[rows]])
    difference = np.concatenate(differences)
    return float(np.square(difference).sum())  # a product of BLAS has other last digits with other numbers of threads


def grad(pred: ArrayLike, target: ArrayLike, trimap: ArrayLike) -> float:
    """Gradient error over the unknown region, in thousands.

    Both images are stretched to 0..1, then filtered with gaussian derivatives (σ = 1.4, 9 taps, L2 norm 1,
    border replicated).

    Args:
        pred: predicted alpha, uint8 [H, W].
        target: true alpha, uint8 [H, W].
        trimap: uint8 [H, W] of 0, 128 (unknown) and 255.

    Returns:
        Σ(|∇p| - |∇g|)² / 1000; 0 for an empty unknown region.

    Raises:
        ValueError: for a dtype other than uint8, shapes that differ, or another value in the trimap.
    """
    p, g, unknown = matting_inputs(pred, target, trimap)
    gauss, derivative = gaussian_and_derivative(SIGMA, RADIUS)
    filters = (gauss / np.linalg.norm(gauss), derivative / np.linalg.norm(derivative))
    return squared_difference(p, g, unknown, filters, cv2.BORDER_REPLICATE) / 1000


def grad_a2u(pred: ArrayLike, target: ArrayLike, trimap: ArrayLike) -> float:
    """Gradient error as the A2U training code prints it, 1.02 to 1.06 times `grad`; for comparing with its logs.

    Dai et al., "Learning Affinity-Aware Upsampling for Deep Image Matting", CVPR 2021. The gaussian sums to 1 and has
    13 taps, the border is mirrored, and Σ is divided by 10. That code sees the alpha before it is rounded to uint8,
    so floating-point images are taken too, on any scale.

    Args:
        pred: predicted alpha, uint8 or floating point, [H, W].
        target: true alpha, uint8 or floating point, [H, W].
        trimap: uint8 [H, W] of 0, 128 (unknown) and 255.

    Raises:
        ValueError: for another dtype, values that are not finite, shapes that differ, or another value in the trimap.
    """
    p, g, t = image_arrays(pred=pred, target=target, trimap=trimap)
    for name, array in (("pred", p), ("target", g)):
        if array.dtype != np.uint8 and not np.issubdtype(array.dtype, np.floating):
            raise ValueError(f"{name} must be uint8 or floating point, got {array.dtype}")
        if not np.isfinite(array).all():
            raise ValueError(f"{name} must be finite, got NaN or infinite values")
        if not np.isfinite(float(array.max()) - float(array.min())):
            raise ValueError(f"{name} must span less than float64 holds, got {array.min()}..{array.max()}")
    gauss, derivative = gaussian_and_derivative(SIGMA, RADIUS_A2U)
    filters = (gauss / gauss.sum(), derivative / gauss.sum())
    return squared_difference(p, g, unknown_region(t), filters, cv2.BORDER_REFLECT) / 10
