"""1×1 convolutions by the compiled kernels of `denseup.native` (pointwise.c): float32, channels-last."""

import ctypes
from functools import cache

import torch
from torch import Tensor

from denseup import native
from denseup.ops.c_kernels import check, dense, pointer
from denseup.ops.geometry import layout

LANES = 16
"""Channels come in multiples of it: whole vectors, however wide."""


class _Shape(ctypes.Structure):
    """`geometry` of pointwise.c."""

    _fields_ = [
        ("pixels", ctypes.c_long),
        ("channels", ctypes.c_long),
        ("outputs", ctypes.c_long),
        ("threads", ctypes.c_int),
    ]


def serves(x: Tensor, weight: Tensor, bias: Tensor | None) -> bool:
    """Whether the kernels, if they are there, are the better way; a map in another layout would have to be copied."""
    return can_take(x, weight, bias) and layout(x) is torch.channels_last


def can_take(x: Tensor, weight: Tensor, bias: Tensor | None) -> bool:
    """Whether the kernels, if they are there, can take these: only what fits together, for they check nothing."""
    given = [t for t in (x, weight, bias) if t is not None]
    if any(t.device.type != "cpu" or t.dtype is not torch.float32 for t in given):
        return False
    if x.dim() != 4 or weight.dim() != 4 or x.numel() == 0 or weight.numel() == 0:
        return False
    outputs, channels, *taps = weight.shape
    if bias is not None and tuple(bias.shape) != (outputs,):
        return False
    return taps == [1, 1] and channels == x.shape[1] and channels % LANES == 0


def convolve(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """`[B, C, H, W]`, `[O, C, 1, 1]`, `[O]` → `[B, O, H, W]`, channels-last."""
    x, matrix, bias = dense(x), _matrix(weight), None if bias is None else bias.contiguous()
    out = torch.empty((x.shape[0], weight.shape[0], *x.shape[2:]), memory_format=torch.channels_last)
    pointers = (x.data_ptr(), matrix.data_ptr(), pointer(bias), out.data_ptr())
    check(_library().denseup_pointwise(_shape(x, weight), *pointers))
    return out


def backward(grad: Tensor, x: Tensor, weight: Tensor, to: Tensor | None, parameters: bool) -> tuple[Tensor, Tensor]:
    """Gradients of weight and bias if asked for, else empty; that of `x` is added to `to`.

    Args:
        grad: of the result, `[B, O, H, W]`.
        x: `[B, C, H, W]`.
        weight: `[O, C, 1, 1]`.
        to: `[B, C, H, W]`, dense and channels-last, or None.
        parameters: whether those of weight and bias are wanted.
    """
    grad, x, matrix = dense(grad), dense(x), _matrix(weight)
    of_weight, of_bias = (x.new_empty(size) if parameters else x.new_empty(0) for size in (weight.shape, grad.shape[1]))
    inputs = (grad.data_ptr(), x.data_ptr(), matrix.data_ptr())
    outputs = (of_weight.data_ptr(), of_bias.data_ptr()) if parameters else (None, None)
    check(_library().denseup_pointwise_backward(_shape(x, weight), *inputs, *outputs, pointer(to)))
    return of_weight, of_bias


def _matrix(weight: Tensor) -> Tensor:
    return weight.flatten(1).contiguous()


def _shape(x: Tensor, weight: Tensor) -> _Shape:
    batch, channels, height, width = x.shape
    return _Shape(batch * height * width, channels, weight.shape[0], native.threads())


@cache
def _library() -> ctypes.CDLL:
    """The library, with the types of the arguments declared."""
    library = native.library()
    assert library is not None
    address, shape = ctypes.c_void_p, ctypes.POINTER(_Shape)
    library.denseup_pointwise.argtypes = [shape, *[address] * 4]
    library.denseup_pointwise_backward.argtypes = [shape, *[address] * 6]
    return library
