"""Metrics of image matting and semantic segmentation, exact to the published evaluation code.

The pure functions measure one image; the torchmetrics classes accumulate over a data set and over processes.
"""

from denseup.metrics.base import DenseMetrics
from denseup.metrics.description import MetricInfo
from denseup.metrics.functional import (
    boundary_iou,
    conn,
    grad,
    grad_a2u,
    mean_accuracy,
    mean_iou,
    mse,
    pixel_accuracy,
    reduce_zero_label,
    sad,
)
from denseup.metrics.matting import MattingMetrics
from denseup.metrics.matting_training import TrainingMattingMetrics
from denseup.metrics.means import ImageMeans
from denseup.metrics.segmentation import SegmentationMetrics

__all__ = [
    "DenseMetrics",
    "ImageMeans",
    "MattingMetrics",
    "MetricInfo",
    "SegmentationMetrics",
    "TrainingMattingMetrics",
    "boundary_iou",
    "conn",
    "grad",
    "grad_a2u",
    "mean_accuracy",
    "mean_iou",
    "mse",
    "pixel_accuracy",
    "reduce_zero_label",
    "sad",
]
