"""Attention over points as torch sees it, `torch.ops.denseup.…`.

Back ends trust what they get: every argument is checked here. Results and gradients of maps have the memory format of
the map that they belong to; gradients of positions lie as the positions do; weights and their gradients are contiguous.
"""

import torch
from torch import Tensor

from denseup.ops.c_kernels import like_layout
from denseup.ops.geometry import new_map, size_of
from denseup.ops.points import arguments, decomposition, flops, gradients
from denseup.ops.points.backends import BACKENDS
from denseup.ops.registration import Gradient, register


def _similarity(query: Tensor, key: Tensor, positions: Tensor, backend: str = "") -> Tensor:
    if not query.numel():
        return torch.zeros(_of_weights(positions), dtype=query.dtype, device=query.device)
    return BACKENDS.serving(backend, key, positions).similarity(query, key, positions).contiguous()


def _similarity_backward(
    grad: Tensor, query: Tensor, key: Tensor, positions: Tensor, backend: str = ""
) -> tuple[Tensor, Tensor, Tensor]:
    if not query.numel():
        return _zeros(query), _zeros(key), torch.zeros_like(positions)
    found = BACKENDS.serving(backend, key, positions).similarity_backward(grad, query, key, positions)
    return like_layout(found[0], query), like_layout(found[1], key), _lying_as(found[2], positions)


def _gather(value: Tensor, weights: Tensor, positions: Tensor, backend: str = "") -> Tensor:
    if not value.numel():
        return torch.zeros_like(_new_high(value, positions))
    return like_layout(BACKENDS.serving(backend, value, positions).gather(value, weights, positions), value)


def _gather_backward(
    grad: Tensor, value: Tensor, weights: Tensor, positions: Tensor, backend: str = ""
) -> tuple[Tensor, Tensor, Tensor]:
    if not value.numel():
        of_weights = torch.zeros(weights.shape, dtype=weights.dtype, device=weights.device)
        return _zeros(value), of_weights, torch.zeros_like(positions)
    found = BACKENDS.serving(backend, value, positions).gather_backward(grad, value, weights, positions)
    return like_layout(found[0], value), found[1].contiguous(), _lying_as(found[2], positions)


def _zeros(x: Tensor) -> Tensor:
    return torch.zeros_like(_alike(x))


def _alike(x: Tensor) -> Tensor:
    return new_map(x, x.shape[1], size_of(x))


def _new_high(low: Tensor, positions: Tensor) -> Tensor:
    return new_map(low, low.shape[1], size_of(positions))


def _of_weights(positions: Tensor) -> tuple[int, ...]:
    batch, points, _, groups, *size = positions.shape
    return batch, groups, points, *size


def _lying_as(x: Tensor, other: Tensor) -> Tensor:
    """`x` with the strides that `torch.empty_like` gives a tensor for `other`."""
    like = torch.empty_like(other)
    return x if x.stride() == like.stride() else like.copy_(x)


similarity = register(
    "point_similarity",
    _similarity,
    check=arguments.check_similarity_call,
    fake=lambda query, key, positions, *_: query.new_empty(_of_weights(positions)),
    composed=decomposition.similarity,
    exported=decomposition.exported_similarity,
    gradient=Gradient(gradients.save, gradients.of_similarity),
    flops=flops.of_similarity,
    each_image_alone=True,
)
"""`[B, C, H, W]`, `[B, C, h, w]`, `[B, P, 2, G, H, W]` in pixels → `[B, G, P, H, W]`."""

similarity_backward = register(
    "point_similarity_backward",
    _similarity_backward,
    check=arguments.check_similarity_backward,
    fake=lambda grad, query, key, positions, *_: (_alike(query), _alike(key), torch.empty_like(positions)),
    composed=decomposition.similarity_backward,
    gradient=Gradient(gradients.save, gradients.of_similarity_backward),
    flops=flops.of_similarity_backward,
    each_image_alone=True,
)
"""Gradients of query, key and positions."""

gather = register(
    "gather_points",
    _gather,
    check=arguments.check_gather_call,
    fake=lambda value, weights, positions, *_: _new_high(value, positions),
    composed=decomposition.gather,
    exported=decomposition.exported_gather,
    gradient=Gradient(gradients.save, gradients.of_gather),
    flops=flops.of_gather,
    each_image_alone=True,
)
"""`[B, C, h, w]`, `[B, G, P, H, W]`, `[B, P, 2, G, H, W]` in pixels → `[B, C, H, W]`, in the layout of the map."""

gather_backward = register(
    "gather_points_backward",
    _gather_backward,
    check=arguments.check_gather_backward,
    fake=lambda grad, value, weights, positions, *_: (
        _alike(value),
        weights.new_empty(weights.shape),
        torch.empty_like(positions),
    ),
    composed=decomposition.gather_backward,
    gradient=Gradient(gradients.save, gradients.of_gather_backward),
    flops=flops.of_gather_backward,
    each_image_alone=True,
)
"""Gradients of value, weights and positions."""
