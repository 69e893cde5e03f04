"""Bilinear sampling at any positions, differentiable twice.

`torch.nn.functional.grid_sample` has no second derivative, and a plain-torch version of it (four gathers) measured 2-8
times slower on CPU. So the forward and the first derivative are torch's own kernels, and only what these lack, the
second derivative and those of `torch.func` and forward mode, takes the plain way.

A position that is not a number is nowhere: the result there is NaN, and so is the gradient of the position; the map
gets none from there. torch's kernels take it for a corner of the map, and their gradient writes outside it.
"""

import itertools
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.utils.flop_counter import register_flop_formula

from denseup.ops.arguments import check_alike, check_device, check_map, check_shape, whole_number
from denseup.ops.batching import fold_batch
from denseup.ops.reassembly import decomposition as decompositions
from denseup.ops.transforms import register_composed

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
    groups = whole_number("groups", groups)
    if x.dim() != 4 or x.shape[1] % groups:
        raise ValueError(f"x is {list(x.shape)}, expected [B, C, h, w] with C a multiple of groups, {groups}")
    if positions.dim() != 4 or positions.shape[0] != x.shape[0] or positions.shape[1] != 2 * groups:
        raise ValueError(f"positions is {list(positions.shape)}, expected [{x.shape[0]}, {2 * groups}, H, W]")
    check_map("x", x)
    check_map("positions", positions, "[B, 2·G, H, W]")
    check_device("positions", positions, "x", x)
    dtype = torch.promote_types(torch.promote_types(x.dtype, positions.dtype), torch.float32)
    height, width = x.shape[2:]
    columns, rows = (half.flatten(0, 1) for half in positions.to(dtype).chunk(2, 1))
    grid = torch.stack([(2 * columns + 1) / width - 1, (2 * rows + 1) / height - 1], -1)
    by_group = x.to(dtype).reshape(x.shape[0] * groups, x.shape[1] // groups, height, width)
    operator = composed if decompositions.are_wanted() else _sample
    out: Tensor = operator(by_group, grid)
    return out.reshape(*x.shape[:2], *out.shape[2:]).to(x.dtype)


def composed(x: Tensor, grid: Tensor) -> Tensor:
    """By torch's kernel: `[B, C, h, w]`, `[B, H, W, 2]` with (-1, 1) from border to border → `[B, C, H, W]`."""
    return F.grid_sample(x, grid, mode="bilinear", padding_mode="border", align_corners=False).contiguous()


@torch.library.custom_op("denseup::sample_bilinear", mutates_args=())
def _sample(x: Tensor, grid: Tensor) -> Tensor:
    """`composed`, NaN where the grid is."""
    _check(x, grid)
    if not x.numel():
        return x.new_zeros(*x.shape[:2], *grid.shape[1:3])
    if not _may_hold_nan(grid):
        return composed(x, grid)
    nowhere, grid = _nowhere(grid)
    return composed(x, grid).masked_fill_(nowhere[:, None], torch.nan)


@torch.library.custom_op("denseup::sample_bilinear_backward", mutates_args=())
def _sample_backward(grad: Tensor, x: Tensor, grid: Tensor) -> tuple[Tensor, Tensor]:
    """Gradients of `x` and `grid`."""
    _check_backward(grad, x, grid)
    if not grad.numel():
        return torch.zeros(x.shape, dtype=x.dtype, device=x.device), torch.zeros_like(grid).contiguous()
    if not _may_hold_nan(grid):
        return _torchs_backward(grad, x, grid)
    nowhere, grid = _nowhere(grid)
    grad_x, grad_grid = _torchs_backward(grad.masked_fill(nowhere[:, None], 0), x, grid)
    return grad_x, grad_grid.masked_fill_(nowhere[..., None], torch.nan)


def _torchs_backward(grad: Tensor, x: Tensor, grid: Tensor) -> tuple[Tensor, Tensor]:
    grad_x, grad_grid = torch.ops.aten.grid_sampler_2d_backward(grad, x, grid, _BILINEAR, _BORDER, False, [True, True])
    return grad_x.contiguous(), grad_grid.contiguous()


def _may_hold_nan(grid: Tensor) -> bool:
    """Whether to look for NaN: one sum says no. Not on devices that the processor would have to wait for."""
    return grid.device.type != "cpu" or bool(grid.sum().isnan())


def _nowhere(grid: Tensor) -> tuple[Tensor, Tensor]:
    """Where positions are not numbers, `[B, H, W]`, and the grid with the middle of the map there."""
    nowhere = grid.isnan().any(-1)
    return nowhere, grid.masked_fill(nowhere[..., None], 0)


def _check(x: Tensor, grid: Tensor) -> None:
    check_map("x", x)
    if grid.dim() != 4 or grid.shape[0] != x.shape[0] or grid.shape[3] != 2 or 0 in grid.shape[1:]:
        raise ValueError(f"grid has shape {list(grid.shape)}, expected [{x.shape[0]}, H, W, 2] with H and W ≥ 1")
    check_alike("grid", grid, "x", x)


def _check_backward(grad: Tensor, x: Tensor, grid: Tensor) -> None:
    _check(x, grid)
    check_shape("grad", grad, [*x.shape[:2], *grid.shape[1:3]], "as x and grid have")
    check_alike("grad", grad, "x", x)


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
    _check(x, grid)
    out = torch.zeros_like(x[:, :, :1, :1])
    for index, (of_row, of_column), _ in _corners(x, grid):
        out = out + (of_row * of_column)[:, None] * _read(x, index, of_row)
    return out


def _plain_backward(grad: Tensor, x: Tensor, grid: Tensor) -> tuple[Tensor, Tensor]:
    """`_sample_backward` in differentiable torch operations."""
    _check_backward(grad, x, grid)
    grad_x, grad_grid = torch.zeros_like(x).flatten(2), torch.zeros_like(grid)
    for index, (of_row, of_column), (down, right) in _corners(x, grid):
        grad_x = grad_x.scatter_add(2, index, ((of_row * of_column)[:, None] * grad).flatten(2))
        product = (grad * _read(x, index, of_row)).sum(1)
        grad_grid = grad_grid + torch.stack([right * of_row * product, down * of_column * product], -1)
    width, height = x.shape[3], x.shape[2]
    slopes = [_slope(grid[..., k], length) for k, length in enumerate((width, height))]
    return grad_x.reshape(x.shape), grad_grid * torch.stack(slopes, -1)


def _corners(x: Tensor, grid: Tensor) -> Iterator[tuple[Tensor, tuple[Tensor, Tensor], tuple[int, int]]]:
    """The four pixels around each position: flat indices `[B, C, H·W]`, the weights of row and column `[B, H, W]`, and
    the derivatives of these, 1 or -1.
    """
    height, width = x.shape[2:]
    (left, of_right), (top, of_lower) = _split(grid[..., 0], width), _split(grid[..., 1], height)
    for down, right in itertools.product((0, 1), (0, 1)):
        row, column = (top + down).clamp(max=height - 1), (left + right).clamp(max=width - 1)
        index = (row * width + column).long().flatten(1)[:, None].expand(-1, x.shape[1], -1)
        weights = (of_lower if down else 1 - of_lower, of_right if right else 1 - of_right)
        yield index, weights, (2 * down - 1, 2 * right - 1)


def _split(coordinate: Tensor, length: int) -> tuple[Tensor, Tensor]:
    """The pixel before each position, 0 where there is none, and the share of the next one."""
    position = ((coordinate + 1) * length - 1) / 2
    position = torch.where(position >= length - 1, length - 1, torch.where(position <= 0, 0, position))
    first = position.detach().nan_to_num(0).floor()
    return first, position - first


def _slope(coordinate: Tensor, length: int) -> Tensor:
    """Pixels a unit of the grid: none outside, where the border is read."""
    position = ((coordinate + 1) * length - 1) / 2
    return torch.where((position <= 0) | (position >= length - 1), 0.0, length / 2).to(coordinate.dtype)


def _read(x: Tensor, index: Tensor, like: Tensor) -> Tensor:
    """The pixels of `x` at flat indices: `[B, C, H, W]`, of the size of `like`."""
    return x.flatten(2).gather(2, index).reshape(*x.shape[:2], *like.shape[1:])


register_composed(_sample, _plain)
register_composed(_sample_backward, _plain_backward)
for _operator in (_sample, _sample_backward):
    _operator.register_vmap(fold_batch(_operator))


@register_flop_formula(torch.ops.denseup.sample_bilinear)
def _sample_flops(x_shape: Any, grid_shape: Any, *args: Any, **kwargs: Any) -> int:
    """Four multiply-adds, 2 each, for every output value."""
    batch, height, width, _ = grid_shape
    return int(2 * 4 * batch * x_shape[1] * height * width)


@register_flop_formula(torch.ops.denseup.sample_bilinear_backward)
def _sample_backward_flops(grad_shape: Any, x_shape: Any, grid_shape: Any, *args: Any, **kwargs: Any) -> int:
    """Once for the map, once for each of the two coordinates."""
    return 3 * _sample_flops(x_shape, grid_shape)
