"""Sampling by the compiled kernels of `denseup.native` (sampling.c): float32. They read channels-last maps; others are
turned."""

import ctypes
from functools import cache

import torch
from torch import Tensor

from denseup import native
from denseup.ops.c_kernels import MISSING, check, dense, floats, like_layout, machine_reasons

NAME = "cpu"
MAX_PIXELS = 2**31 - 1
"""Of the map that is read: the kernels count them in 32 bits."""


class _Shape(ctypes.Structure):
    """`geometry` of sampling.h."""

    _fields_ = [
        ("batch", ctypes.c_long),
        ("height", ctypes.c_long),
        ("width", ctypes.c_long),
        ("out_height", ctypes.c_long),
        ("out_width", ctypes.c_long),
        ("channels", ctypes.c_long),
        ("groups", ctypes.c_long),
        ("zeros", ctypes.c_int),
        ("threads", ctypes.c_int),
    ]


class _Positions(ctypes.Structure):
    """`positions` of sampling.h."""

    _fields_ = [
        ("at", ctypes.c_void_p),
        ("image", ctypes.c_long),
        ("channel", ctypes.c_long),
        ("row", ctypes.c_long),
        ("column", ctypes.c_long),
    ]


def unsupported_reasons(x: Tensor, positions: Tensor, groups: int) -> list[str]:
    """Why the kernels cannot serve a call: they check nothing themselves."""
    if MISSING:
        return [MISSING]
    found = machine_reasons(x, positions)
    if x.numel() == 0:
        found.append("there is nothing to compute")
    if x.shape[2] * x.shape[3] > MAX_PIXELS:
        found.append(f"the map has {x.shape[2] * x.shape[3]} pixels, it has up to {MAX_PIXELS}")
    return found


def sample(x: Tensor, positions: Tensor, groups: int, padding: str) -> Tensor:
    """`[B, C, h, w]`, `[B, 2·G, H, W]` → `[B, C, H, W]`, in the layout of `x`."""
    low = dense(x)
    out = floats((*x.shape[:2], *positions.shape[2:]), torch.channels_last)
    shape = _shape(x, positions, groups, padding)
    check(_library().denseup_sample(shape, low.data_ptr(), _positions(positions), out.data_ptr()))
    return like_layout(out, x)


def sample_backward(grad: Tensor, x: Tensor, positions: Tensor, groups: int, padding: str) -> tuple[Tensor, Tensor]:
    """Gradients of `x`, in its layout, and of `positions`, contiguous."""
    high, low = dense(grad), dense(x)
    of_map = torch.zeros_like(low)
    of_positions = floats(positions.shape)
    pointers = (high.data_ptr(), low.data_ptr(), _positions(positions), of_map.data_ptr(), of_positions.data_ptr())
    check(_library().denseup_sample_backward(_shape(x, positions, groups, padding), *pointers))
    return like_layout(of_map, x), of_positions


def _shape(x: Tensor, positions: Tensor, groups: int, padding: str) -> _Shape:
    batch, channels, *size = x.shape
    return _Shape(batch, *size, *positions.shape[2:], channels, groups, padding == "zeros", native.threads())


def _positions(positions: Tensor) -> _Positions:
    return _Positions(positions.data_ptr(), *positions.stride())


@cache
def _library() -> ctypes.CDLL:
    """The library, with the types of the arguments declared."""
    library = native.library()
    assert library is not None
    address, shape, where = ctypes.c_void_p, ctypes.POINTER(_Shape), ctypes.POINTER(_Positions)
    library.denseup_sample.argtypes = [shape, address, where, address]
    library.denseup_sample_backward.argtypes = [shape, address, address, where, address, address]
    return library
