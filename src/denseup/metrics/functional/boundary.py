"""Boundary IoU of semantic segmentation, for all classes at once.

Cheng et al., "Boundary IoU: Improving Object-Centric Image Segmentation Evaluation", CVPR 2021 (arXiv:2103.16562).
The boundary of a class is its pixels within a distance of a pixel of another class or of the outside of the image. A
pixel has another label within reach exactly if the labels in a window around it are not all the same, so one pass over
the label map finds the boundaries of all classes: by the compiled kernel (`native/boundary`) or, without it, where an
erosion and a dilation by OpenCV differ.
"""

import math

import cv2
import numpy as np

from denseup import native
from denseup.metrics.functional.inputs import ArrayLike, Bool, UInt8, pointer, segmentation_inputs
from denseup.metrics.functional.segmentation import IGNORED, ClassAreas, count_areas, mean_of_present

VOID_CONVENTIONS = ("void_excluded", "no_ignore")
"""What happens to pixels whose truth is ignored: they do not count, or a boundary predicted there is an error."""


def check_void(void: str) -> None:
    """ValueError unless void names a convention."""
    if not isinstance(void, str) or void not in VOID_CONVENTIONS:
        raise ValueError(f"void must be one of {', '.join(VOID_CONVENTIONS)}, got {void!r}")


def boundary_dilation(height: int, width: int) -> int:
    """Width of the boundary in pixels: 2 % of the image diagonal, rounded half to even, at least 1."""
    return max(1, round(0.02 * math.sqrt(height**2 + width**2)))


def boundary_mask(label: UInt8, dilation: int) -> Bool:
    """Where a label map [H, W] has another label, or the outside, within a Chebyshev distance of `dilation` pixels."""
    kernels = native.library()
    # The kernel counts the rows of a window in 16 bits.
    if kernels is None or dilation >= 2**15:
        return _mask_by_opencv(label, dilation)
    label, boundary = np.ascontiguousarray(label), np.empty(label.shape, bool)
    if kernels.denseup_boundary_mask(pointer(label), *label.shape, dilation, pointer(boundary)):
        raise MemoryError(f"no memory left for the boundaries in a map {list(label.shape)}")
    return boundary


def _mask_by_opencv(label: UInt8, dilation: int) -> Bool:
    window = np.ones((2 * dilation + 1, 2 * dilation + 1), np.uint8)
    boundary: Bool = cv2.erode(label, window) != cv2.dilate(label, window)
    boundary[:dilation] = boundary[-dilation:] = True
    boundary[:, :dilation] = boundary[:, -dilation:] = True
    return boundary


def _image_areas(pred: UInt8, target: UInt8, num_classes: int, ignored: int | None) -> ClassAreas:
    """Boundary areas of one image [H, W] over the pixels whose truth is not `ignored`."""
    dilation = boundary_dilation(*target.shape)
    boundaries = boundary_mask(pred, dilation), boundary_mask(target, dilation)
    return count_areas(pred, target, num_classes, boundaries, ignored)


def boundary_areas(
    pred: ArrayLike, target: ArrayLike, num_classes: int, ignore_index: int = IGNORED, void: str = "void_excluded"
) -> ClassAreas:
    """Boundary pixels of each class in the prediction, the truth and both.

    Args:
        pred: predicted labels in 0..num_classes-1, uint8 or int64, [H, W] or [B, H, W].
        target: true labels, of the same shape; ignore_index marks pixels without a class.
        num_classes: at most 255.
        ignore_index: a label in num_classes..255.
        void: "void_excluded" finds boundaries on the maps as they are, then leaves out pixels whose truth is ignored;
            "no_ignore" leaves out nothing.

    Raises:
        ValueError: for shapes that differ, a dtype that is no integer, a label that is no class, or another `void`.
    """
    check_void(void)
    batch = zip(*segmentation_inputs(pred, target, num_classes, ignore_index), strict=True)
    ignored = ignore_index if void == "void_excluded" else None
    areas = [_image_areas(p, g, num_classes, ignored) for p, g in batch]
    return ClassAreas(*np.sum(areas, axis=0))


def boundary_iou(
    pred: ArrayLike, target: ArrayLike, num_classes: int, ignore_index: int = IGNORED, void: str = "void_excluded"
) -> float:
    """Mean boundary IoU of an image or, areas added up, a batch; arguments as in `boundary_areas`.

    The mean is over classes with a boundary in the prediction or the truth; NaN without any.
    """
    return mean_of_present(boundary_areas(pred, target, num_classes, ignore_index, void).iou)
