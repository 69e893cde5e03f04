"""Sampling by torch's own kernels, on any device.

A position that is not a number is nowhere: the result there is NaN, and so is the gradient of the position; the map
gets none from there. torch's kernels take it for a corner of the map, and their gradient writes outside it.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

from denseup.ops.repeating import must_repeat
from denseup.ops.sampling import decomposition

_BILINEAR, _PADDINGS = 0, {"zeros": 0, "border": 1}  # torch's codes of the interpolation and of the padding mode
_OUTSIDE = 4.0
"""A coordinate that is, on a map of any length, so far outside that all four corners are."""


def interpolate(x: Tensor, grid: Tensor, padding: str = "border") -> Tensor:
    """By torch's kernel: `[B, C, h, w]`, `[B, H, W, 2]` with (-1, 1) from border to border → `[B, C, H, W]`."""
    grid = _within_reach(grid, padding)
    return F.grid_sample(x, grid, mode="bilinear", padding_mode=padding, align_corners=False).contiguous()


def sample(x: Tensor, grid: Tensor, padding: str = "border") -> Tensor:
    """`interpolate`, NaN where the grid is."""
    if not x.numel():
        return x.new_zeros(*x.shape[:2], *grid.shape[1:3])
    if not _may_hold_nan(grid):
        return interpolate(x, grid, padding)
    nowhere, grid = _nowhere(grid)
    return interpolate(x, grid, padding).masked_fill_(nowhere[:, None], torch.nan)


def sample_backward(grad: Tensor, x: Tensor, grid: Tensor, padding: str = "border") -> tuple[Tensor, Tensor]:
    """Gradients of `x` and `grid`."""
    if not grad.numel():
        return torch.zeros(x.shape, dtype=x.dtype, device=x.device), torch.zeros_like(grid).contiguous()
    if not _may_hold_nan(grid):
        return _torchs_backward(grad, x, grid, padding)
    nowhere, grid = _nowhere(grid)
    grad_x, grad_grid = _torchs_backward(grad.masked_fill(nowhere[:, None], 0), x, grid, padding)
    return grad_x, grad_grid.masked_fill_(nowhere[..., None], torch.nan)


def _torchs_backward(grad: Tensor, x: Tensor, grid: Tensor, padding: str) -> tuple[Tensor, Tensor]:
    grid, codes = _within_reach(grid, padding), (_BILINEAR, _PADDINGS[padding])
    if must_repeat(x):
        return decomposition.sample_backward(grad, x, grid, padding)
    grad_x, grad_grid = torch.ops.aten.grid_sampler_2d_backward(grad, x, grid, *codes, False, [True, True])
    return grad_x.contiguous(), grad_grid.contiguous()


def _within_reach(grid: Tensor, padding: str) -> Tensor:
    """Where zeros are read, infinitely far positions would weigh them with infinity: all are nearer, and outside."""
    return grid.clamp(-_OUTSIDE, _OUTSIDE) if padding == "zeros" else grid


def _may_hold_nan(grid: Tensor) -> bool:
    """Whether to look for NaN: one sum says no. Not on devices that the processor would have to wait for."""
    return grid.device.type != "cpu" or bool(grid.sum().isnan())


def _nowhere(grid: Tensor) -> tuple[Tensor, Tensor]:
    """Where positions are not numbers, `[B, H, W]`, and the grid with the middle of the map there."""
    nowhere = grid.isnan().any(-1)
    return nowhere, grid.masked_fill(nowhere[..., None], 0)
