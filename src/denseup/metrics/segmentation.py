"""The segmentation metrics accumulated over a data set and over processes."""

import numpy as np
import torch
from torch import Tensor
from torchmetrics import Metric

from denseup.metrics.functional.boundary import boundary_areas, check_void
from denseup.metrics.functional.inputs import ArrayLike, check_classes
from denseup.metrics.functional.segmentation import IGNORED, ClassAreas, class_areas, mean_of_present


class SegmentationMetrics(Metric):
    """mIoU, mAcc, aAcc and mean boundary IoU from areas added up over all images.

    Args:
        num_classes: labels are 0..num_classes-1; at most 255.
        ignore_index: label of true pixels without a class, in num_classes..255.
        void: what boundary IoU makes of those pixels: "void_excluded" leaves them out, "no_ignore" counts a boundary
            predicted there as an error.

    Raises:
        ValueError: for another value of an argument.
    """

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
        region = class_areas(pred, target, self.num_classes, self.ignore_index)
        boundary = boundary_areas(pred, target, self.num_classes, self.ignore_index, self.void)
        self.region += torch.from_numpy(np.stack(region)).to(self.region.device)
        self.boundary += torch.from_numpy(np.stack(boundary)).to(self.boundary.device)

    def compute(self) -> dict[str, Tensor]:
        """Values in 0..1, float64: "miou", "macc", "aacc" and "biou"; NaN where nothing has been counted."""
        region, boundary = _areas(self.region), _areas(self.boundary)
        values = {
            "miou": mean_of_present(region.iou),
            "macc": mean_of_present(region.accuracy),
            "aacc": region.total_accuracy,
            "biou": mean_of_present(boundary.iou),
        }
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
