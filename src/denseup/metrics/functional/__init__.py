"""Metrics as pure functions: arrays or tensors in, a float (or areas per class) out."""

from denseup.metrics.functional.boundary import boundary_areas, boundary_iou
from denseup.metrics.functional.connectivity import conn, connectivity_levels
from denseup.metrics.functional.gradient import grad, grad_a2u
from denseup.metrics.functional.matting import mse, sad
from denseup.metrics.functional.segmentation import (
    ClassAreas,
    class_areas,
    mean_accuracy,
    mean_iou,
    pixel_accuracy,
    reduce_zero_label,
)

__all__ = [
    "ClassAreas",
    "boundary_areas",
    "boundary_iou",
    "class_areas",
    "conn",
    "connectivity_levels",
    "grad",
    "grad_a2u",
    "mean_accuracy",
    "mean_iou",
    "mse",
    "pixel_accuracy",
    "reduce_zero_label",
    "sad",
]
