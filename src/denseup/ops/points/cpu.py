"""CPU back end: the compiled kernels of `denseup.native` (points.c), for float32.

Maps are read channels-last, others are turned; weights, positions and their gradients lie as they are.
"""

import ctypes
from functools import cache

import torch
from torch import Tensor

from denseup import native
from denseup.ops.c_kernels import MISSING, check, dense, floats, machine_reasons, pointer
from denseup.ops.geometry import size_of

NAME = "cpu"
MAX_PIXELS = 2**31 - 1
"""Of the map that is read: the kernels count them in 32 bits."""


class _Shape(ctypes.Structure):
    """`geometry` of points.h."""

    _fields_ = [
        *(
            (name, ctypes.c_long)
            for name in ("batch", "height", "width", "out_height", "out_width", "channels", "groups", "points")
        ),
        ("threads", ctypes.c_int),
    ]


class _PerPoint(ctypes.Structure):
    """`per_point` of points.h."""

    _fields_ = [("at", ctypes.c_void_p)] + [
        (name, ctypes.c_long) for name in ("image", "group", "point", "axis", "row", "column")
    ]


def unsupported_reasons(x: Tensor, positions: Tensor) -> list[str]:
    """Why the kernels cannot serve a call: they check nothing themselves."""
    if MISSING:
        return [MISSING]
    found = machine_reasons(x, positions)
    if x.numel() == 0:
        found.append("there is nothing to compute")
    if x.shape[2] * x.shape[3] > MAX_PIXELS:
        found.append(f"the map has {x.shape[2] * x.shape[3]} pixels, it has up to {MAX_PIXELS}")
    return found


def similarity(query: Tensor, key: Tensor, positions: Tensor) -> Tensor:
    """`[B, C, H, W]`, `[B, C, h, w]`, `[B, P, 2, G, H, W]` → `[B, G, P, H, W]`."""
    batch, points, _, groups, *size = positions.shape
    out = floats((batch, groups, points, *size))
    high, low = dense(query), dense(key)
    end = (_positions(positions), _weights(out))
    check(_library().denseup_point_similarity(_shape(key, positions), high.data_ptr(), low.data_ptr(), *end))
    return out


def gather(value: Tensor, weights: Tensor, positions: Tensor) -> Tensor:
    """`[B, C, h, w]`, `[B, G, P, H, W]`, `[B, P, 2, G, H, W]` → `[B, C, H, W]`, channels-last."""
    out = _high(value, positions)
    low = dense(value)
    end = (_weights(weights), _positions(positions), out.data_ptr())
    check(_library().denseup_gather_points(_shape(value, positions), low.data_ptr(), *end))
    return out


def similarity_backward(grad: Tensor, query: Tensor, key: Tensor, positions: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients of query and key, channels-last, and of positions, in their layout."""
    of_query = _high(key, positions)
    return of_query, *_backward(query, key, grad, positions, of_query, None)


def gather_backward(grad: Tensor, value: Tensor, weights: Tensor, positions: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients of value, channels-last, of weights, contiguous, and of positions, in their layout."""
    of_weights = floats(weights.shape)
    of_value, of_positions = _backward(grad, value, weights, positions, None, of_weights)
    return of_value, of_weights, of_positions


def _backward(
    high: Tensor, low: Tensor, weights: Tensor, positions: Tensor, of_high: Tensor | None, of_weights: Tensor | None
) -> tuple[Tensor, Tensor]:
    """Gradients of Σ weight · ⟨high, low at the point⟩ in low and positions; others are written to, if given."""
    maps = (dense(high), dense(low))
    of_map = torch.zeros_like(maps[1])
    of_positions = torch.empty_like(positions)
    inputs = (*(x.data_ptr() for x in maps), _weights(weights), _positions(positions))
    outputs = (pointer(of_high), of_map.data_ptr(), _weights(of_weights), _positions(of_positions))
    check(_library().denseup_points_backward(_shape(low, positions), *inputs, *outputs))
    return of_map, of_positions


def _high(low: Tensor, positions: Tensor) -> Tensor:
    return floats((*low.shape[:2], *size_of(positions)), torch.channels_last)


def _shape(low: Tensor, positions: Tensor) -> _Shape:
    batch, channels, *size = low.shape
    _, points, _, groups, *out = positions.shape
    return _Shape(batch, *size, *out, channels, groups, points, native.threads())


def _positions(x: Tensor) -> _PerPoint:
    image, point, axis, group, row, column = x.stride()
    return _PerPoint(x.data_ptr(), image, group, point, axis, row, column)


def _weights(x: Tensor | None) -> _PerPoint:
    if x is None:
        return _PerPoint(None)
    image, group, point, row, column = x.stride()
    return _PerPoint(x.data_ptr(), image, group, point, 0, row, column)


@cache
def _library() -> ctypes.CDLL:
    """The library, with the types of the arguments declared."""
    library = native.library()
    assert library is not None
    address, shape, numbers = ctypes.c_void_p, ctypes.POINTER(_Shape), ctypes.POINTER(_PerPoint)
    library.denseup_point_similarity.argtypes = [shape, address, address, numbers, numbers]
    library.denseup_gather_points.argtypes = [shape, address, numbers, numbers, address]
    of_maps_and_points = (address, address, numbers, numbers)
    library.denseup_points_backward.argtypes = [shape, *of_maps_and_points, *of_maps_and_points]
    return library
