"""How autograd differentiates attention over points.

Each operator has a gradient that is one operator, and that has a gradient in torch's own operators, one point at a
time, for the points have no part in each other. Nothing but the inputs is kept.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from denseup.ops.points import decomposition

_OURS = torch.ops.denseup
_OF_WEIGHTS, _OF_POSITIONS = 2, 1
"""The dimension that the points are in; None for a map that all have a part in."""


def save(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
    """For every operator."""
    *tensors, ctx.backend = inputs
    ctx.save_for_backward(*tensors)


def of_similarity(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
    """Of query, key and positions."""
    return *_OURS.point_similarity_backward.default(grad, *ctx.saved_tensors, ctx.backend), None


def of_gather(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
    """Of value, weights and positions."""
    return *_OURS.gather_points_backward.default(grad, *ctx.saved_tensors, ctx.backend), None


def of_similarity_backward(ctx: Any, *grads: Tensor | None) -> tuple[Tensor | None, ...]:
    """Of the output's gradient, query, key and positions."""
    inputs, outputs = (_OF_WEIGHTS, None, None, _OF_POSITIONS), (None, None, _OF_POSITIONS)
    return *_point_by_point(decomposition.similarity_backward, ctx.saved_tensors, inputs, grads, outputs), None


def of_gather_backward(ctx: Any, *grads: Tensor | None) -> tuple[Tensor | None, ...]:
    """Of the output's gradient, value, weights and positions."""
    inputs, outputs = (None, None, _OF_WEIGHTS, _OF_POSITIONS), (None, _OF_WEIGHTS, _OF_POSITIONS)
    return *_point_by_point(decomposition.gather_backward, ctx.saved_tensors, inputs, grads, outputs), None


def _point_by_point(
    backward: Callable[..., tuple[Tensor, ...]],
    inputs: Sequence[Tensor],
    of_inputs: Sequence[int | None],
    grads: Sequence[Tensor | None],
    of_outputs: Sequence[int | None],
) -> list[Tensor]:
    """Gradients of the inputs of `backward`, given those of its outputs, and the dimensions that points are in."""
    parts: list[list[Tensor]] = [[] for _ in inputs]
    totals = [torch.zeros_like(x) if dim is None else None for x, dim in zip(inputs, of_inputs, strict=True)]
    for point in range(inputs[-1].shape[_OF_POSITIONS]):
        leaves = [_of(x, dim, point).detach().requires_grad_() for x, dim in zip(inputs, of_inputs, strict=True)]
        with torch.enable_grad():
            found = backward(*leaves)
            given = zip(found, grads, of_outputs, strict=True)
            pairs = [(y, _of(g, dim, point)) for y, g, dim in given if g is not None]
            outputs, weights = ([pair[side] for pair in pairs] for side in (0, 1))
            slopes = torch.autograd.grad(outputs, leaves, weights, allow_unused=True, materialize_grads=True)
        for k, slope in enumerate(slopes):
            total = totals[k]
            if total is None:
                parts[k].append(slope)
            else:
                totals[k] = total + slope
    return [
        torch.cat(slopes, dim) if total is None and dim is not None else total  # type: ignore[misc]
        for total, slopes, dim in zip(totals, parts, of_inputs, strict=True)
    ]


def _of(x: Tensor, dim: int | None, point: int) -> Tensor:
    return x if dim is None else x.narrow(dim, point, 1)
