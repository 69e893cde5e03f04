"""Sampling in differentiable torch operators, four gathers: for `torch.func`, forward mode and second derivatives.

It is two to eight times as slow as torch's kernel on CPU, which has no second derivative.
"""

import itertools
from collections.abc import Iterator

import torch
from torch import Tensor


def sample(x: Tensor, grid: Tensor) -> Tensor:
    """`[B, C, h, w]`, `[B, H, W, 2]` → `[B, C, H, W]`."""
    out = torch.zeros_like(x[:, :, :1, :1])
    for index, (of_row, of_column), _ in _corners(x, grid):
        out = out + (of_row * of_column)[:, None] * _read(x, index, of_row)
    return out


def sample_backward(grad: Tensor, x: Tensor, grid: Tensor) -> tuple[Tensor, Tensor]:
    """Gradients of `x` and `grid`."""
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
