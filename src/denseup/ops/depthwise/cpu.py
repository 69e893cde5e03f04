"""Depthwise convolution by the compiled kernels of `denseup.native` (depthwise.c): float32.

They read and write channels-last maps; others are turned.
"""

import ctypes
from collections.abc import Sequence
from functools import cache

import torch
from torch import Tensor

from denseup import native
from denseup.ops.c_kernels import MISSING, dense, floats, like_layout, machine_reasons, pointer
from denseup.ops.depthwise.arguments import output_length

NAME = "cpu"
MAX_KERNEL_SIZE = 8


class _Shape(ctypes.Structure):
    """`geometry` of depthwise.h."""

    _fields_ = [
        ("batch", ctypes.c_long),
        ("channels", ctypes.c_long),
        ("height", ctypes.c_long),
        ("width", ctypes.c_long),
        ("out_height", ctypes.c_long),
        ("out_width", ctypes.c_long),
        ("kernel_size", ctypes.c_long),
        ("stride", ctypes.c_long),
        ("padding", ctypes.c_long),
        ("each_image", ctypes.c_int),
        ("threads", ctypes.c_int),
    ]


def unsupported_reasons(x: Tensor, weight: Tensor) -> list[str]:
    """Why the kernels cannot serve a call: they check nothing themselves."""
    if MISSING:
        return [MISSING]
    found = machine_reasons(x, weight)
    if weight.shape[2] > MAX_KERNEL_SIZE:
        found.append(f"kernels are of {weight.shape[2]}, it has up to {MAX_KERNEL_SIZE}")
    if x.numel() == 0:
        found.append("there is nothing to compute")
    return found


def convolve(x: Tensor, weight: Tensor, stride: int, padding: int) -> Tensor:
    """`[B, C, H, W]`, `[1 or B, C, k, k]` → `[B, C, H', W']`, in the layout of `x`."""
    shape, last, kernels = _shape(x, weight, stride, padding), dense(x), _by_tap(weight)
    size = (shape.out_height, shape.out_width)
    out = floats((*x.shape[:2], *size), torch.channels_last)
    _library().denseup_depthwise(shape, last.data_ptr(), kernels.data_ptr(), out.data_ptr())
    return like_layout(out, x)


def backward(
    grad: Tensor, x: Tensor, weight: Tensor, stride: int, padding: int, needs: Sequence[bool]
) -> tuple[Tensor | None, Tensor | None]:
    """Gradients of `x`, in its layout, and `weight`, contiguous, of those that are needed."""
    high, last, kernels = dense(grad), dense(x), _by_tap(weight)
    of_map = torch.empty_like(last) if needs[0] else None
    of_kernels = torch.empty_like(kernels) if needs[1] else None
    inputs = (high.data_ptr(), last.data_ptr(), kernels.data_ptr())
    shape = _shape(x, weight, stride, padding)
    _library().denseup_depthwise_backward(shape, *inputs, pointer(of_map), pointer(of_kernels))
    return (
        None if of_map is None else like_layout(of_map, x),
        None if of_kernels is None else of_kernels.permute(0, 3, 1, 2).contiguous(),
    )


def _by_tap(weight: Tensor) -> Tensor:
    """`[1 or B, C, k, k]` → `[1 or B, k, k, C]`."""
    return weight.permute(0, 2, 3, 1).contiguous()


def _shape(x: Tensor, weight: Tensor, stride: int, padding: int) -> _Shape:
    kernel_size = weight.shape[2]
    size = (output_length(length, kernel_size, stride, padding) for length in x.shape[2:])
    images = (weight.shape[0] > 1, native.threads())
    return _Shape(*x.shape, *size, kernel_size, stride, padding, *images)


@cache
def _library() -> ctypes.CDLL:
    """The library, with the types of the arguments declared."""
    library = native.library()
    assert library is not None
    address, shape = ctypes.c_void_p, ctypes.POINTER(_Shape)
    library.denseup_depthwise.argtypes = [shape, *[address] * 3]
    library.denseup_depthwise_backward.argtypes = [shape, *[address] * 5]
    library.denseup_depthwise.restype = library.denseup_depthwise_backward.restype = None
    return library
