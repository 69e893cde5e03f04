"""1×1 convolutions by the compiled kernels of `denseup.native` (pointwise.c): float32, channels-last."""

import ctypes
from functools import cache

import torch
from torch import Tensor

from denseup import native
from denseup.ops.c_kernels import MISSING, check, dense, floats, machine_reasons, pointer
from denseup.ops.geometry import layout

NAME = "cpu"
LANES = 16
"""Of whole vectors, however wide."""


class _Shape(ctypes.Structure):
    """`geometry` of pointwise.c."""

    _fields_ = [
        ("pixels", ctypes.c_long),
        ("channels", ctypes.c_long),
        ("outputs", ctypes.c_long),
        ("threads", ctypes.c_int),
    ]


def unsupported_reasons(x: Tensor, weight: Tensor, bias: Tensor | None, to: Tensor | None = None) -> list[str]:
    """Why the kernels should not serve a call: what they cannot take, and maps that they would have to copy."""
    found = limits(x, weight, bias, to)
    if not found and layout(x) is not torch.channels_last:
        found.append("the map is not channels-last and would have to be copied")
    return found


def limits(x: Tensor, weight: Tensor, bias: Tensor | None, to: Tensor | None = None) -> list[str]:
    """Why the kernels cannot take a call: they check nothing themselves."""
    if MISSING:
        return [MISSING]
    found = machine_reasons(x, weight) if bias is None else machine_reasons(x, weight, bias)
    if x.dim() != 4 or weight.dim() != 4 or weight.shape[1:] != (x.shape[1], 1, 1):
        return [*found, f"weight has shape {list(weight.shape)}, it has [O, C, 1, 1] with the C channels of the map"]
    if bias is not None and bias.shape != weight.shape[:1]:
        found.append(f"bias has shape {list(bias.shape)}, it has one value an output alone")
    if x.shape[1] % LANES and weight.shape[0] < LANES:
        text = f"multiples of {LANES} channels, or {LANES} outputs and more"
        found.append(f"there are {x.shape[1]} channels and {weight.shape[0]} outputs, it has {text}")
    if x.numel() == 0 or weight.numel() == 0:
        found.append("there is nothing to compute")
    if to is not None and not to.is_contiguous(memory_format=torch.channels_last):
        found.append("the map that is added to is not channels-last")
    return found


def convolve(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """`[B, C, H, W]`, `[O, C, 1, 1]`, `[O]` → `[B, O, H, W]`, channels-last."""
    x, matrix, bias = dense(x), _matrix(weight), None if bias is None else bias.contiguous()
    out = floats((x.shape[0], weight.shape[0], *x.shape[2:]), torch.channels_last)
    pointers = (x.data_ptr(), matrix.data_ptr(), pointer(bias), out.data_ptr())
    check(_library().denseup_pointwise(_shape(x, weight), *pointers))
    return out


def backward(
    grad: Tensor, x: Tensor, weight: Tensor, to: Tensor | None, parameters: bool, add: bool = True
) -> tuple[Tensor, Tensor]:
    """Gradients of weight and bias if asked for, else empty; that of `x` is added to `to`.

    Args:
        grad: of the result, `[B, O, H, W]`.
        x: `[B, C, H, W]`.
        weight: `[O, C, 1, 1]`.
        to: `[B, C, H, W]`, dense and channels-last, or None.
        parameters: whether those of weight and bias are wanted.
        add: whether to add to what is in `to`; else it is written over.
    """
    grad, x, matrix = dense(grad), dense(x), _matrix(weight)
    of_weight, of_bias = (x.new_empty(size) if parameters else x.new_empty(0) for size in (weight.shape, grad.shape[1]))
    inputs = (grad.data_ptr(), x.data_ptr(), matrix.data_ptr())
    outputs = (of_weight.data_ptr(), of_bias.data_ptr()) if parameters else (None, None)
    check(_library().denseup_pointwise_backward(_shape(x, weight), *inputs, *outputs, pointer(to), add))
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
    library.denseup_pointwise_backward.argtypes = [shape, *[address] * 6, ctypes.c_int]
    return library
