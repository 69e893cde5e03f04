"""Bilinear sampling at any positions, differentiable twice.

`torch.nn.functional.grid_sample` has no second derivative, and a plain-torch version of it (four gathers) measured 2-8
times slower on CPU. So the forward and the first derivative are torch's own kernels, and only the second derivative
takes the plain way.
"""

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.utils.flop_counter import register_flop_formula

from denseup.ops import decompositions

_BILINEAR, _BORDER = 0, 1  # torch's codes of the interpolation and of the padding mode


def sample_bilinear(x: Tensor, positions: Tensor, groups: int = 1) -> Tensor:
    """Read a map at given positions, by bilinear interpolation; a position outside reads the nearest border pixel.

    Args:
        x: map `[B, C, h, w]`.
        positions: `[B, 2·G, H, W]`, the G columns first, then the G rows, in pixels of `x`: (0, 0) is the centre of
            the first pixel. Compute them in float32 at least: bfloat16 has no fractions of a pixel beyond column 128.
        groups: G groups of channels, each read at positions of its own.

    Returns:
        `[B, C, H, W]` with the dtype of `x`; interpolated in the wider of the two dtypes, at least float32.

    Raises:
        ValueError: an argument has a wrong shape; the message names it.
    """
    if x.dim() != 4 or groups < 1 or x.shape[1] % groups:
        raise ValueError(f"x is {list(x.shape)}, expected [B, C, h, w] with C a multiple of groups, {groups}")
    if positions.dim() != 4 or positions.shape[0] != x.shape[0] or positions.shape[1] != 2 * groups:
        raise ValueError(f"positions is {list(positions.shape)}, expected [{x.shape[0]}, {2 * groups}, H, W]")
    dtype = torch.promote_types(torch.promote_types(x.dtype, positions.dtype), torch.float32)
    height, width = x.shape[2:]
    columns, rows = (half.flatten(0, 1) for half in positions.to(dtype).chunk(2, 1))
    grid = torch.stack([(2 * columns + 1) / width - 1, (2 * rows + 1) / height - 1], -1)
    by_group = x.to(dtype).reshape(x.shape[0] * groups, -1, height, width)
    operator = composed if decompositions.are_wanted() else _sample
    out: Tensor = operator(by_group, grid)
    return out.reshape(*x.shape[:2], *out.shape[2:]).to(x.dtype)


def composed(x: Tensor, grid: Tensor) -> Tensor:
    """By torch's kernel: `[B, C, h, w]`, `[B, H, W, 2]` with (-1, 1) from border to border → `[B, C, H, W]`."""
    return F.grid_sample(x, grid, mode="bilinear", padding_mode="border", align_corners=False).contiguous()


_sample = torch.library.custom_op("denseup::sample_bilinear", composed, mutates_args=())


@torch.library.custom_op("denseup::sample_bilinear_backward", mutates_args=())
def _sample_backward(grad: Tensor, x: Tensor, grid: Tensor) -> tuple[Tensor, Tensor]:
    """Gradients of `x` and `grid`."""
    grad_x, grad_grid = torch.ops.aten.grid_sampler_2d_backward(grad, x, grid, _BILINEAR, _BORDER, False, [True, True])
    return grad_x.contiguous(), grad_grid.contiguous()


@_sample.register_fake
def _(x: Tensor, grid: Tensor) -> Tensor:
    return x.new_empty(*x.shape[:2], *grid.shape[1:3])


@_sample_backward.register_fake
def _(grad: Tensor, x: Tensor, grid: Tensor) -> tuple[Tensor, Tensor]:
    return x.new_empty(x.shape), grid.new_empty(grid.shape)


def _save(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
    ctx.save_for_backward(*inputs)


def _first(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor]:
    grads: tuple[Tensor, Tensor] = _sample_backward(grad, *ctx.saved_tensors)
    return grads


def _second(ctx: Any, grad_x: Tensor, grad_grid: Tensor) -> tuple[Tensor | None, ...]:
    """Derivative of the first derivative, by differentiating the plain version twice."""
    grad, x, grid = (saved.detach().requires_grad_() for saved in ctx.saved_tensors)
    with torch.enable_grad():
        first = torch.autograd.grad(_plain(x, grid), (x, grid), grad, create_graph=True)
        return torch.autograd.grad(first, (grad, x, grid), (grad_x, grad_grid))


_sample.register_autograd(_first, setup_context=_save)
_sample_backward.register_autograd(_second, setup_context=_save)


def _plain(x: Tensor, grid: Tensor) -> Tensor:
    """`_sample` in differentiable torch operations."""
    height, width = x.shape[2:]
    column = (((grid[..., 0] + 1) * width - 1) / 2).clamp(0, width - 1)
    row = (((grid[..., 1] + 1) * height - 1) / 2).clamp(0, height - 1)
    left, top = column.detach().floor(), row.detach().floor()
    out = torch.zeros_like(x[:, :, :1, :1])
    for down in (0, 1):
        for right in (0, 1):
            weight = (1 - (row - top - down).abs()) * (1 - (column - left - right).abs())
            index = (top + down).clamp(max=height - 1) * width + (left + right).clamp(max=width - 1)
            index = index.long().flatten(1)[:, None].expand(-1, x.shape[1], -1)
            out = out + weight[:, None] * x.flatten(2).gather(2, index).reshape(*x.shape[:2], *weight.shape[1:])
    return out


@register_flop_formula(torch.ops.denseup.sample_bilinear)
def _sample_flops(x_shape: Any, grid_shape: Any, *args: Any, **kwargs: Any) -> int:
    """Four multiply-adds, 2 each, for every output value."""
    batch, height, width, _ = grid_shape
    return int(2 * 4 * batch * x_shape[1] * height * width)


@register_flop_formula(torch.ops.denseup.sample_bilinear_backward)
def _sample_backward_flops(grad_shape: Any, x_shape: Any, grid_shape: Any, *args: Any, **kwargs: Any) -> int:
    """Once for the map, once for each of the two coordinates."""
    return 3 * _sample_flops(x_shape, grid_shape)
