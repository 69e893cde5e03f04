"""The segmentation metrics accumulated over a data set and over processes."""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from denseup.metrics.base import DenseMetrics
from denseup.metrics.description import MetricInfo
from denseup.metrics.functional.boundary import boundary_areas, check_void
from denseup.metrics.functional.inputs import ArrayLike, UInt8, check_classes, segmentation_inputs
from denseup.metrics.functional.segmentation import IGNORED, ClassAreas, class_areas, mean_of_present

PER_CENT: dict[str, Any] = {"scale": 100, "printed_unit": "%", "digits": 2}


class SegmentationMetrics(DenseMetrics):
    """mIoU, mAcc, aAcc and mean boundary IoU from areas added up over all images.

    The values of one image are those of its own areas: the means are over the classes that it has. They do not average
    to the values of the data set, where a class of many small parts counts as much as one of few large ones; the areas
    themselves are kept as well (`counts`), for the values of other sets of these images.

    Args:
        num_classes: labels are 0..num_classes-1; at most 255.
        ignore_index: label of true pixels without a class, in num_classes..255.
        void: what boundary IoU makes of those pixels: "void_excluded" leaves them out, "no_ignore" counts a boundary
            predicted there as an error.

    Raises:
        ValueError: for another value of an argument.
    """

    values = (
        MetricInfo("miou", "mIoU", True, **PER_CENT),
        MetricInfo("biou", "bIoU", True, **PER_CENT),
        MetricInfo("macc", "mAcc", True, **PER_CENT),
        MetricInfo("aacc", "aAcc", True, **PER_CENT),
    )
    class_values = (
        MetricInfo("iou", "IoU", True, **PER_CENT),
        MetricInfo("acc", "Acc", True, **PER_CENT),
        MetricInfo("biou", "bIoU", True, **PER_CENT),
    )

    is_differentiable = False
    higher_is_better = True
    full_state_update = False

    region: Tensor
    boundary: Tensor

    def __init__(self, num_classes: int, ignore_index: int = IGNORED, void: str = "void_excluded") -> None:
        super().__init__()
        check_classes(num_classes, ignore_index)
        check_void(void)
        self.num_classes, self.ignore_index, self.void = num_classes, ignore_index, void
        # The rows are those of ClassAreas. Integer counts are exact in any order of images and processes.
        for name in ("region", "boundary"):
            self.add_state(name, torch.zeros(3, num_classes, dtype=torch.int64), dist_reduce_fx="sum")

    def update(self, pred: ArrayLike, target: ArrayLike) -> None:
        """Add images.

        Args:
            pred: predicted labels in 0..num_classes-1, uint8 or int64, [H, W], [B, H, W] or [B, 1, H, W].
            target: true labels, of the same shape; ignore_index marks pixels without a class.

        Raises:
            ValueError: for shapes that differ, a dtype that is no integer, or a label that is no class.
        """
        images = segmentation_inputs(pred, target, self.num_classes, self.ignore_index)
        # All images are counted before any is added, so a broken one leaves the state as it was.
        areas = [self._count(*image) for image in zip(*images, strict=True)]
        for state, counted in zip((self.region, self.boundary), zip(*areas, strict=True), strict=True):
            state += torch.from_numpy(np.sum(counted, axis=0)).to(state.device)
        single = [_values(*pair) for pair in areas]
        self.keep({key: [values[key] for values in single] for key in single[0]})
        counts = [_counts(*pair) for pair in areas]
        self.keep_counts({key: [of_image[key] for of_image in counts] for key in counts[0]})

    def _count(self, pred: UInt8, target: UInt8) -> tuple[ClassAreas, ClassAreas]:
        """Areas of one image: regions, and boundaries."""
        region = class_areas(pred, target, self.num_classes, self.ignore_index)
        return region, boundary_areas(pred, target, self.num_classes, self.ignore_index, self.void)

    def compute(self) -> dict[str, Tensor]:
        """Values in 0..1, float64: "miou", "macc", "aacc" and "biou"; NaN where nothing has been counted."""
        values = _values(_areas(self.region), _areas(self.boundary))
        return {name: torch.tensor(value, dtype=torch.float64) for name, value in values.items()}

    def per_class(self) -> dict[str, Tensor]:
        """Values of each class over all processes, float64 [num_classes]: "iou", "acc" and "biou".

        NaN marks a class that is in neither map, or for "acc" not in the truth. Each process has to call this.
        """
        with self.sync_context():
            region, boundary = _areas(self.region), _areas(self.boundary)
        values = {"iou": region.iou, "acc": region.accuracy, "biou": boundary.iou}
        return {name: torch.from_numpy(value) for name, value in values.items()}


def _areas(state: Tensor) -> ClassAreas:
    return ClassAreas(*state.cpu().numpy())


def _values(region: ClassAreas, boundary: ClassAreas) -> dict[str, float]:
    """The values of an image, or of a data set whose areas were added up."""
    return {
        "miou": mean_of_present(region.iou),
        "macc": mean_of_present(region.accuracy),
        "aacc": region.total_accuracy,
        "biou": mean_of_present(boundary.iou),
    }


def _counts(region: ClassAreas, boundary: ClassAreas) -> dict[str, Tensor]:
    """Of an image: the (parts, wholes) whose sums over images give the values of a data set, int32 `[2, classes]`."""
    pairs = {
        "miou": (region.intersection, region.union),
        "macc": (region.intersection, region.target),
        "aacc": (region.intersection.sum(keepdims=True), region.target.sum(keepdims=True)),
        "biou": (boundary.intersection, boundary.union),
    }
    return {key: torch.from_numpy(np.stack(pair)).int() for key, pair in pairs.items()}
