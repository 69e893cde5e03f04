"""Region metrics of semantic segmentation: IoU and accuracies from integer areas added up over a data set.

The conventions are those of mmsegmentation: pixels whose truth is ignored are dropped first; a class that is never in
the truth but is predicted has IoU 0, which counts, and no accuracy.
"""

import ctypes
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from denseup import native
from denseup.metrics.functional.inputs import (
    ArrayLike,
    Bool,
    Float64,
    Int64,
    UInt8,
    as_array,
    label_map,
    pointer,
    segmentation_inputs,
)

IGNORED = 255

# What uint8 can hold.
LABELS = 256


class ClassAreas(NamedTuple):
    """Pixels of each class in one image, or added up over a data set; int64 [num_classes] each."""

    intersection: Int64
    pred: Int64
    target: Int64

    @property
    def union(self) -> Int64:
        """Pixels in the prediction, the truth or both."""
        return self.pred + self.target - self.intersection

    @property
    def iou(self) -> Float64:
        """Intersection over union, float64 [num_classes]; NaN for a class in neither prediction nor truth."""
        return _ratio(self.intersection, self.union)

    @property
    def accuracy(self) -> Float64:
        """Share of each class's true pixels found, float64 [num_classes]; NaN for a class not in the truth."""
        return _ratio(self.intersection, self.target)

    @property
    def total_accuracy(self) -> float:
        """Share of all true pixels that were found (aAcc); NaN without any."""
        return float(_ratio(self.intersection.sum(keepdims=True), self.target.sum(keepdims=True))[0])


def _ratio(part: Int64, whole: Int64) -> Float64:
    ratio = np.full(whole.shape, np.nan)
    np.divide(part, whole, out=ratio, where=whole > 0)
    return ratio


def mean_of_present(values: Float64) -> float:
    """Mean of the values that are not NaN; NaN without any."""
    present = values[~np.isnan(values)]
    return float(present.mean()) if present.size else float("nan")


def count_areas(
    pred: UInt8, target: UInt8, num_classes: int, within: tuple[Bool, Bool], ignored: int | None
) -> ClassAreas:
    """Areas of the classes where the masks of `within`, one for each map, are true and the truth is not `ignored`.

    Maps and masks have the same shape; labels of num_classes and above belong to no class.
    """
    kernels = native.library()
    if kernels is None:
        return _count_by_numpy(pred, target, num_classes, within, ignored)
    areas = np.zeros((3, LABELS), np.int64)
    pixels, nothing = ctypes.c_long(target.size), -1
    kernels.denseup_label_areas(
        *map(pointer, (pred, target, *within)), pixels, nothing if ignored is None else int(ignored), pointer(areas)
    )
    return ClassAreas(*areas[:, :num_classes])


def _count_by_numpy(
    pred: UInt8, target: UInt8, num_classes: int, within: tuple[Bool, Bool], ignored: int | None
) -> ClassAreas:
    counted = np.ones_like(target, bool) if ignored is None else target != ignored
    in_pred, in_target = (mask & counted for mask in within)
    counts = [
        np.bincount(labels, minlength=num_classes)[:num_classes].astype(np.int64)
        for labels in (pred[(pred == target) & in_pred & in_target], pred[in_pred], target[in_target])
    ]
    return ClassAreas(*counts)


def class_areas(pred: ArrayLike, target: ArrayLike, num_classes: int, ignore_index: int = IGNORED) -> ClassAreas:
    """Areas of each class in the prediction, the truth and both, without the pixels whose truth is ignored.

    Args:
        pred: predicted labels in 0..num_classes-1, uint8 or int64, [H, W] or [B, H, W].
        target: true labels, of the same shape; ignore_index marks pixels that do not count.
        num_classes: at most 255.
        ignore_index: a label in num_classes..255.

    Raises:
        ValueError: for shapes that differ, a dtype that is no integer, or a label that is no class.
    """
    p, g = segmentation_inputs(pred, target, num_classes, ignore_index)
    everywhere = np.ones_like(g, bool)
    return count_areas(p, g, num_classes, (everywhere, everywhere), ignore_index)


def mean_iou(pred: ArrayLike, target: ArrayLike, num_classes: int, ignore_index: int = IGNORED) -> float:
    """Mean intersection over union (mIoU) of an image or, areas added up, a batch; arguments as in `class_areas`."""
    return mean_of_present(class_areas(pred, target, num_classes, ignore_index).iou)


def mean_accuracy(pred: ArrayLike, target: ArrayLike, num_classes: int, ignore_index: int = IGNORED) -> float:
    """Mean over classes of the share of true pixels found (mAcc); arguments as in `class_areas`."""
    return mean_of_present(class_areas(pred, target, num_classes, ignore_index).accuracy)


def pixel_accuracy(pred: ArrayLike, target: ArrayLike, num_classes: int, ignore_index: int = IGNORED) -> float:
    """Share of all true pixels found (aAcc); arguments as in `class_areas`."""
    return class_areas(pred, target, num_classes, ignore_index).total_accuracy


def reduce_zero_label(label: ArrayLike) -> ArrayLike:
    """True labels in which 0 means "nothing" (ADE20K): 0 becomes 255, 255 stays, every other label moves down by one.

    Args:
        label: integer labels in 0..255, of any shape; a prediction has no such label and is left alone.

    Returns:
        uint8 labels of the same shape, an array for an array and a tensor, on the same device, for a tensor.
    """
    labels = label_map("label", as_array("label", label))
    # In uint8, 0 - 1 is 255.
    reduced = np.where(labels == IGNORED, labels, labels - np.uint8(1))
    return torch.from_numpy(reduced).to(label.device) if isinstance(label, Tensor) else reduced
