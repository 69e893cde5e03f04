"""Content encoding by the compiled kernels of `denseup.native` (encoding.c): float32, channels-last, 3×3 weights."""

import ctypes
from collections.abc import Sequence
from functools import cache

import torch
from torch import Tensor

from denseup import native
from denseup.ops.c_kernels import MISSING, check, dense, floats, machine_reasons, pointer
from denseup.ops.geometry import layout

NAME = "cpu"
MIN_CHANNELS = 16
"""Of the maps and of the logits: no less than the widest vectors hold."""


class _Shape(ctypes.Structure):
    """`geometry` of encoding.c."""

    _fields_ = [
        ("batch", ctypes.c_long),
        ("height", ctypes.c_long),
        ("width", ctypes.c_long),
        ("low_height", ctypes.c_long),
        ("low_width", ctypes.c_long),
        ("channels", ctypes.c_long),
        ("outputs", ctypes.c_long),
        ("threads", ctypes.c_int),
    ]


class _Weights(ctypes.Structure):
    """`weights` of encoding.c."""

    _fields_ = [
        ("at", ctypes.c_void_p),
        ("output", ctypes.c_long),
        ("channel", ctypes.c_long),
        ("tap", ctypes.c_long),
    ]


def unsupported_reasons(high: Tensor, low: Tensor | None, weight: Tensor, bias: Tensor | None) -> list[str]:
    """Why the kernels should not serve a call: what they cannot take, and maps that they would have to copy."""
    found = limits(high, low, weight, bias)
    if not found and layout(high) is not torch.channels_last:
        found.append("the map is not channels-last: torch's convolution is as fast as a copy and the kernels together")
    return found


def limits(high: Tensor, low: Tensor | None, weight: Tensor, bias: Tensor | None) -> list[str]:
    """Why the kernels cannot take a call: they check nothing themselves."""
    if MISSING:
        return [MISSING]
    given = [x for x in (high, low, weight, bias) if x is not None]
    found = machine_reasons(*given)
    if high.dim() != 4 or weight.dim() != 4 or weight.shape[1:] != (high.shape[1], 3, 3):
        return [*found, f"weight has shape {list(weight.shape)}, it has [O, C, 3, 3] with the C channels of the map"]
    if low is not None and (low.dim() != 4 or low.shape[:2] != high.shape[:2]):
        found.append(f"low has shape {list(low.shape)}, it has the images and channels of high alone")
    if bias is not None and bias.shape != weight.shape[:1]:
        found.append(f"bias has shape {list(bias.shape)}, it has one value an output alone")
    if min(weight.shape[:2]) < MIN_CHANNELS:
        found.append(
            f"there are {weight.shape[1]} channels and {weight.shape[0]} outputs, it has {MIN_CHANNELS} or more"
        )
    if high.numel() == 0 or (low is not None and low.numel() == 0):
        found.append("there is nothing to compute")
    return found


def encode(high: Tensor, low: Tensor | None, weight: Tensor, bias: Tensor | None) -> Tensor:
    """`[B, C, H, W]`, `[B, C, h, w]`, `[O, C, 3, 3]`, `[O]` → `[B, O, H, W]`, channels-last."""
    high, low, weight = dense(high), None if low is None else dense(low), _even(weight)
    bias = None if bias is None else bias.contiguous()
    shape = (high.shape[0], weight.shape[0], *high.shape[2:])
    logits = floats(shape, torch.channels_last)
    pointers = (high.data_ptr(), pointer(low), _weights(weight), pointer(bias), logits.data_ptr())
    check(_library().denseup_encode(_shape(high, low, weight), *pointers))
    return logits


def encode_backward(
    grad: Tensor, high: Tensor, low: Tensor | None, weight: Tensor, needs: Sequence[bool]
) -> tuple[Tensor | None, ...]:
    """Gradients of high, low, weight and bias of `encode`, of those that are needed."""
    grad, high, low, weight = dense(grad), dense(high), None if low is None else dense(low), _even(weight)
    found = [
        torch.empty_like(high) if needs[0] else None,
        torch.empty_like(low) if needs[1] and low is not None else None,
        torch.empty_like(weight) if needs[2] else None,
        weight.new_empty(weight.shape[0]) if needs[3] else None,
    ]
    weights = None if found[2] is None else _weights(found[2])
    inputs = (grad.data_ptr(), high.data_ptr(), pointer(low), _weights(weight))
    outputs = (pointer(found[0]), pointer(found[1]), weights, pointer(found[3]))
    check(_library().denseup_encode_backward(_shape(high, low, weight), *inputs, *outputs))
    return tuple(found)


def _even(weight: Tensor) -> Tensor:
    """`weight` with the nine values of a channel evenly spaced, as they are in every usual layout."""
    return weight if weight.stride(2) == 3 * weight.stride(3) else weight.contiguous()


def _shape(high: Tensor, low: Tensor | None, weight: Tensor) -> _Shape:
    batch, channels, *size = high.shape
    small = (0, 0) if low is None else low.shape[2:]
    return _Shape(batch, *size, *small, channels, weight.shape[0], native.threads())


def _weights(weight: Tensor) -> _Weights:
    return _Weights(weight.data_ptr(), weight.stride(0), weight.stride(1), weight.stride(3))


@cache
def _library() -> ctypes.CDLL:
    """The library, with the types of the arguments declared."""
    library = native.library()
    assert library is not None
    address, shape, weights = ctypes.c_void_p, ctypes.POINTER(_Shape), ctypes.POINTER(_Weights)
    library.denseup_encode.argtypes = [shape, address, address, weights, address, address]
    library.denseup_encode_backward.argtypes = [shape, *[address] * 3, weights, *[address] * 2, weights, address]
    return library
