"""How autograd differentiates sampling: once by torch's kernels, again through the decomposition."""

from typing import Any, cast

import torch
from torch import Tensor

from denseup.ops.registration import OPERATORS
from denseup.ops.sampling.decomposition import sample, sample_positions


def save(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
    """All inputs; the padding is the last."""
    *tensors, ctx.padding = inputs
    ctx.save_for_backward(*tensors)


def of_sample(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, None]:
    """Of map and grid."""
    backward = torch.ops.denseup.sample_bilinear_backward.default
    return (*cast(tuple[Tensor, Tensor], backward(grad, *ctx.saved_tensors, ctx.padding)), None)


def of_sample_backward(ctx: Any, grad_x: Tensor, grad_grid: Tensor) -> tuple[Tensor | None, ...]:
    """Derivative of the first derivative, by differentiating the decomposition twice."""
    grad, x, grid = (saved.detach().requires_grad_() for saved in ctx.saved_tensors)
    with torch.enable_grad():
        first = torch.autograd.grad(sample(x, grid, ctx.padding), (x, grid), grad, create_graph=True)
        return (*torch.autograd.grad(first, (grad, x, grid), (grad_x, grad_grid)), None)


def save_positions(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
    """All inputs; groups, padding and back end are the last."""
    *tensors, ctx.groups, ctx.padding, ctx.backend = inputs
    ctx.save_for_backward(*tensors)


def of_sample_positions(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
    """Of map and positions."""
    backward = OPERATORS["sample_positions_backward"]
    return *backward.computed(grad, *ctx.saved_tensors, ctx.groups, ctx.padding, ctx.backend), None, None, None


def of_sample_positions_backward(ctx: Any, grad_x: Tensor, grad_positions: Tensor) -> tuple[Tensor | None, ...]:
    """Derivative of the first derivative, by differentiating the decomposition twice."""
    grad, x, positions = (saved.detach().requires_grad_() for saved in ctx.saved_tensors)
    with torch.enable_grad():
        out = sample_positions(x, positions, ctx.groups, ctx.padding)
        first = torch.autograd.grad(out, (x, positions), grad, create_graph=True)
        second = torch.autograd.grad(first, (grad, x, positions), (grad_x, grad_positions))
    return *second, None, None, None
