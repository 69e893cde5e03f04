"""Public functions: check the arguments, choose a back end, call the operator."""

from functools import reduce
from typing import cast

import torch
from torch import Tensor

from denseup.ops.points import operators
from denseup.ops.points.arguments import check_gather, check_similarity
from denseup.ops.points.backends import BACKENDS


def point_similarity(query: Tensor, key: Tensor, positions: Tensor, backend: str | None = None) -> Tensor:
    """Inner products of every output pixel with P points of a map, which are read by bilinear interpolation.

    Args:
        query: `[B, C, H, W]`.
        key: `[B, C, h, w]`, of any size.
        positions: `[B, P, 2, G, H, W]`, columns first, in pixels of `key`, for each of G groups of channels: (0, 0) is
            the centre of the first pixel. Compute them in float32 at least: bfloat16 has no fractions of a pixel beyond
            column 128. Outside the map all is 0, half a pixel outside half of the border pixel.
        backend: a name of `available_backends("points")`; None chooses.

    Returns:
        `[B, G, P, H, W]`, with the dtype of `query`; computed in the widest of the dtypes, at least float32. NaN where
        a position is; an infinite position is one far outside. At whole positions the derivative is that towards the
        next pixel. Where what is read or multiplied is not finite, neither
        is the result: NaN or infinite, as the back end orders its sums.

    Raises:
        ValueError: an argument has a wrong shape or value; the message names it.
    """
    check_similarity(query, key, positions)
    wide = _widened(query, key, positions)
    chosen = BACKENDS.choose(backend, *wide[1:])
    return cast(Tensor, operators.similarity(*wide, chosen)).to(query.dtype)


def gather_points(value: Tensor, weights: Tensor, positions: Tensor, backend: str | None = None) -> Tensor:
    """Weighted sums over P points of a map, which are read by bilinear interpolation.

    Args:
        value: `[B, C, h, w]`.
        weights: `[B, G, P, H, W]`; best in float32 at least.
        positions: as for `point_similarity`, in pixels of `value`.
        backend: a name of `available_backends("points")`; None chooses.

    Returns:
        `[B, C, H, W]`, with the dtype of `value`; computed in the widest of the dtypes, at least float32. In a group of
        channels of which a position is NaN, NaN; not finite as in `point_similarity`.

    Raises:
        ValueError: an argument has a wrong shape or value; the message names it.
    """
    check_gather(value, weights, positions)
    wide = _widened(value, weights, positions)
    chosen = BACKENDS.choose(backend, wide[0], wide[2])
    return cast(Tensor, operators.gather(*wide, chosen)).to(value.dtype)


def _widened(*tensors: Tensor) -> list[Tensor]:
    dtype = reduce(torch.promote_types, (x.dtype for x in tensors), torch.float32)
    return [x.to(dtype) for x in tensors]
