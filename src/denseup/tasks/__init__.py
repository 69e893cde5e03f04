"""The two tasks as Lightning modules: a network with its loss, optimisation, whole-image evaluation and metrics."""

from denseup.tasks.base import DenseTask
from denseup.tasks.matting import MattingTask
from denseup.tasks.segmentation import SegmentationTask

__all__ = ["DenseTask", "MattingTask", "SegmentationTask"]
