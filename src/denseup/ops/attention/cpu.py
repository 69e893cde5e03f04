"""CPU back end: the compiled kernels of `denseup.native` (attention.c), for float32 and bfloat16.

Maps of high resolution are read and written in whatever layout they have; those of low resolution are brought into the
layouts that the kernels want. Weights and sums are float32.
"""

import ctypes
from functools import cache

import torch
from torch import Tensor

from denseup import native
from denseup.ops.c_kernels import MISSING, check, dense, floats
from denseup.ops.geometry import new_map, size_of

NAME = "cpu"
DTYPES = (torch.float32, torch.bfloat16)
SPARE = 32
"""Floats behind a map in planes, which whole vectors may read: 2 · LANES of lanes.h."""


class _Shape(ctypes.Structure):
    """`attention_geometry` of attention.h."""

    _fields_ = [
        *(
            (name, ctypes.c_long)
            for name in ("batch", "height", "width", "out_height", "out_width", "channels", "value_channels", "heads")
        ),
        ("kernel_size", ctypes.c_long),
        ("scale", ctypes.c_float),
        ("bfloat16", ctypes.c_int),
        ("threads", ctypes.c_int),
    ]


class _Map(ctypes.Structure):
    """`attention_map` of attention.h."""

    _fields_ = [("at", ctypes.c_void_p)] + [(name, ctypes.c_long) for name in ("image", "channel", "row", "pixel")]


def unsupported_reasons(query: Tensor, kernel_size: int, heads: int) -> list[str]:
    """Why this back end cannot serve a call."""
    found = []
    if MISSING:
        found.append(MISSING)
    if query.device.type != "cpu":
        found.append(f"the tensors are on {query.device.type!r}, not on 'cpu'")
    if query.dtype not in DTYPES:
        found.append(f"dtype is {query.dtype}, it has float32 and bfloat16")
    return found


def attention(query: Tensor, key: Tensor, value: Tensor, kernel_size: int, heads: int, scale: float) -> Tensor:
    """`[B, D, H, W]`, `[B, D, h, w]`, `[B, C, h, w]` → `[B, C, H, W]`."""
    _require(query, kernel_size, heads)
    out = new_map(query, value.shape[1], size_of(query))
    keys, values = _planes(key), dense(value.float())
    shape = _shape(query, value, kernel_size, heads, scale)
    check(_library().denseup_attention(shape, _map(query), keys.data_ptr(), values.data_ptr(), _map(out)))
    return out


def attention_backward(
    grad: Tensor, query: Tensor, key: Tensor, value: Tensor, kernel_size: int, heads: int, scale: float
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients of `attention` in query, key and value."""
    _require(query, kernel_size, heads)
    shape = _shape(query, value, kernel_size, heads, scale)
    library = _library()
    grad_query = new_map(query, query.shape[1], size_of(query))
    keys = dense(key.float())
    lanes = [_planes(x) for x in (key, value)]
    bands = [floats([library.denseup_attention_band_floats(shape, x.shape[1])]) for x in (key, value)]
    sums = [floats(x.shape, torch.channels_last) for x in (key, value)]
    pointers = [x.data_ptr() for x in (*bands, *sums)]
    end = (keys.data_ptr(), *(x.data_ptr() for x in lanes), _map(grad_query), *pointers)
    check(library.denseup_attention_backward(shape, _map(grad), _map(query), *end))
    return grad_query, sums[0].to(key.dtype), sums[1].to(value.dtype)


def _require(query: Tensor, kernel_size: int, heads: int) -> None:
    """The kernels trust what they are given, and an operator can be called with any back end's name."""
    reasons = unsupported_reasons(query, kernel_size, heads)
    if reasons:
        raise ValueError(f"backend {NAME!r} cannot serve this call: {'; '.join(reasons)}")


def _planes(x: Tensor) -> Tensor:
    """A map in float32 and NCHW, with `SPARE` floats behind it."""
    planes = floats([x.numel() + SPARE])
    planes[: x.numel()].view(x.shape).copy_(x)
    return planes


def _map(x: Tensor) -> _Map:
    return _Map(x.data_ptr(), *x.stride())


def _shape(query: Tensor, value: Tensor, kernel_size: int, heads: int, scale: float) -> _Shape:
    batch, channels, *out = query.shape
    sizes = (batch, *size_of(value), *out, channels, value.shape[1], heads, kernel_size)
    return _Shape(*sizes, scale, query.dtype == torch.bfloat16, native.threads())


@cache
def _library() -> ctypes.CDLL:
    """The library, with the types of the arguments declared."""
    library = native.library()
    assert library is not None
    shape, address = ctypes.POINTER(_Shape), ctypes.c_void_p
    library.denseup_attention.argtypes = [shape, _Map, address, address, _Map]
    library.denseup_attention_backward.argtypes = [shape, _Map, _Map, address, address, address, _Map, *[address] * 4]
    library.denseup_attention_band_floats.argtypes = [shape, ctypes.c_long]
    library.denseup_attention_band_floats.restype = ctypes.c_long
    return library
