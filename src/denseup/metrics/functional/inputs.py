"""Checks shared by the metrics: every argument becomes a NumPy array of known type and shape, or a ValueError."""

import ctypes
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

AnyArray = NDArray[Any]
ArrayLike = AnyArray | Tensor
"""What a metric takes: a NumPy array, or a torch tensor on any device."""

UInt8 = NDArray[np.uint8]
Bool = NDArray[np.bool_]
Int64 = NDArray[np.int64]
Float64 = NDArray[np.float64]

UNKNOWN = 128
"""Trimap value of the region that matting metrics sum over; 0 is background and 255 foreground."""


REAL = "buif"
"""NumPy's kinds of real numbers: flags, whole numbers of both kinds, floating point."""


def as_array(name: str, value: ArrayLike) -> AnyArray:
    """The NumPy view of an array or tensor; ValueError for anything else and for an array without elements."""
    if isinstance(value, Tensor):
        value = _from_torch(name, value)
    if not isinstance(value, np.ndarray):
        raise ValueError(f"{name} must be a torch.Tensor or a numpy.ndarray, got {type(value).__name__}")
    if value.dtype.kind not in REAL:
        raise ValueError(f"{name} must hold real numbers, got {value.dtype}")
    if isinstance(value, np.ma.MaskedArray) and np.ma.is_masked(value):
        raise ValueError(f"{name} must be without a mask, got a masked array: metrics would not leave its pixels out")
    if value.size == 0:
        raise ValueError(f"{name} must have at least one pixel, got shape {list(value.shape)}")
    # OpenCV reads no flipped views.
    return np.ascontiguousarray(value)


def _from_torch(name: str, value: Tensor) -> AnyArray:
    """What NumPy can look at; ValueError for what has no values there."""
    if value.layout is not torch.strided or value.is_nested or value.is_meta:
        kind = "nested" if value.is_nested else f"{value.layout} on {str(value.device)!r}"
        raise ValueError(f"{name} must be a dense tensor with values, got one that is {kind}")
    value = value.detach().as_subclass(Tensor).cpu().resolve_conj().resolve_neg()
    try:
        # NumPy has no bfloat16.
        array: AnyArray = value.float().numpy() if value.dtype == torch.bfloat16 else value.numpy()
    except (TypeError, RuntimeError) as error:
        raise ValueError(f"{name} must hold real numbers that NumPy knows, got {value.dtype}") from error
    return array


def pointer(array: AnyArray) -> ctypes.c_void_p:
    """Where the pixels of a C-contiguous array begin, for a compiled kernel; the caller keeps the array alive."""
    assert array.flags.c_contiguous
    return ctypes.c_void_p(array.ctypes.data)


def as_arrays(**values: ArrayLike) -> list[AnyArray]:
    """The NumPy views of arguments that must have the same shape, or a ValueError with all the shapes."""
    arrays = {name: as_array(name, value) for name, value in values.items()}
    if len({array.shape for array in arrays.values()}) > 1:
        shapes = ", ".join(f"{name} {list(array.shape)}" for name, array in arrays.items())
        raise ValueError(f"{', '.join(arrays)} must have the same shape, got {shapes}")
    return list(arrays.values())


def as_batch(name: str, array: AnyArray) -> AnyArray:
    """[H, W], [B, H, W] or [B, 1, H, W] as [B, H, W]; ValueError for any other shape."""
    if array.ndim == 2:
        return array[None]
    if array.ndim == 3:
        return array
    if array.ndim == 4 and array.shape[1] == 1:
        return array[:, 0]
    raise ValueError(f"{name} must have the shape [H, W], [B, H, W] or [B, 1, H, W], got {list(array.shape)}")


def image_arrays(**values: ArrayLike) -> list[AnyArray]:
    """The NumPy views of arguments that must be images [H, W] of the same size, or a ValueError."""
    arrays = as_arrays(**values)
    if arrays[0].ndim != 2:
        raise ValueError(f"{', '.join(values)} must have the shape [H, W], got {list(arrays[0].shape)}")
    return arrays


def uint8_images(**values: ArrayLike) -> list[UInt8]:
    """The NumPy views of arguments that must be uint8 [H, W] of the same size, or a ValueError."""
    arrays = image_arrays(**values)
    for name, array in zip(values, arrays, strict=True):
        check_uint8(name, array)
    return arrays


def check_uint8(name: str, array: AnyArray) -> None:
    """ValueError unless the array is uint8."""
    if array.dtype != np.uint8:
        raise ValueError(f"{name} must be uint8 with values 0..255, got {array.dtype}")


def unknown_region(trimap: AnyArray) -> Bool:
    """Where the trimap is 128; ValueError if it holds anything but 0, 128 and 255."""
    check_uint8("trimap", trimap)
    unknown: Bool = trimap == UNKNOWN
    if not (unknown | (trimap == 0) | (trimap == 255)).all():
        raise ValueError(
            f"trimap may hold 0 (background), 128 (unknown) and 255 (foreground), got {np.unique(trimap).tolist()[:12]}"
        )
    return unknown


def matting_inputs(pred: ArrayLike, target: ArrayLike, trimap: ArrayLike) -> tuple[UInt8, UInt8, Bool]:
    """Prediction and truth as uint8 [H, W], and the unknown region as bool [H, W]."""
    p, g, t = uint8_images(pred=pred, target=target, trimap=trimap)
    return p, g, unknown_region(t)


def label_map(name: str, array: AnyArray) -> UInt8:
    """A map of integer labels as uint8 of the same shape; ValueError for floats and for labels outside 0..255."""
    if array.dtype == np.uint8:
        return array
    if not np.issubdtype(array.dtype, np.integer):
        raise ValueError(f"{name} must hold integer labels (uint8 or int64), got {array.dtype}")
    if array.min() < 0 or array.max() > 255:
        raise ValueError(f"{name} must hold labels in 0..255, got {array.min()}..{array.max()}")
    return array.astype(np.uint8)


def check_classes(num_classes: int, ignore_index: int) -> None:
    """ValueError unless all class labels fit into uint8 and the ignored label is none of them."""
    for name, value in (("num_classes", num_classes), ("ignore_index", ignore_index)):
        if isinstance(value, (bool, np.bool_)) or not isinstance(value, (int, np.integer)):
            raise ValueError(f"{name} must be a whole number, got {value!r}")
    if not 1 <= num_classes <= 255:
        raise ValueError(f"num_classes must be in 1..255, got {num_classes}")
    if not num_classes <= ignore_index <= 255:
        raise ValueError(f"ignore_index must be in num_classes..255, here {num_classes}..255, got {ignore_index}")


def segmentation_inputs(pred: ArrayLike, target: ArrayLike, num_classes: int, ignore_index: int) -> tuple[UInt8, UInt8]:
    """Prediction and truth as uint8 [B, H, W], with labels below num_classes; the truth may hold ignore_index too."""
    check_classes(num_classes, ignore_index)
    pred_array, target_array = as_arrays(pred=pred, target=target)
    p, g = label_map("pred", pred_array), label_map("target", target_array)
    wrong = p >= num_classes
    if wrong.any():
        raise ValueError(f"pred must hold labels in 0..{num_classes - 1}, got {np.unique(p[wrong]).tolist()[:12]}")
    wrong = (g >= num_classes) & (g != ignore_index)
    if wrong.any():
        raise ValueError(
            f"target must hold labels in 0..{num_classes - 1} or ignore_index={ignore_index}, "
            f"got {np.unique(g[wrong]).tolist()[:12]}"
        )
    return as_batch("pred", p), as_batch("target", g)
