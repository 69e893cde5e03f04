"""Sampling in differentiable torch operators, four gathers: for `torch.func`, forward mode and second derivatives.

It is two to eight times as slow as torch's kernel on CPU, which has no second derivative.
"""

import itertools
from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from denseup.ops.sampling.grid import by_grid, gradients_by_grid


def sample_positions(x: Tensor, positions: Tensor, groups: int, padding: str = "border", backend: str = "") -> Tensor:
    """`[B, C, h, w]`, `[B, 2·G, H, W]` in pixels → `[B, C, H, W]`."""
    return by_grid(sample, x, positions, groups, padding, slopes=True)


def sample_positions_backward(
    grad: Tensor, x: Tensor, positions: Tensor, groups: int, padding: str = "border", backend: str = ""
) -> tuple[Tensor, Tensor]:
    """Gradients of `x` and `positions`."""
    return gradients_by_grid(sample_backward, grad, x, positions, groups, padding)


class _Corner(NamedTuple):
    """One of the four pixels around each position."""

    pixel: Tensor
    """In the flat map: `[B, C, H·W]`."""
    of_row: Tensor
    """Its weight among the rows: `[B, H, W]`."""
    of_column: Tensor
    signs: tuple[int, int]
    """The derivatives of the two weights, 1 or -1: by row, by column."""
    there: Tensor | None
    """Whether it counts: `[B, 1, H, W]`; None if all do."""

    def counted(self, x: Tensor) -> Tensor:
        """`x` `[B, C, H, W]`, 0 where the corner does not count."""
        return x if self.there is None else torch.where(self.there, x, 0)


def sample(x: Tensor, grid: Tensor, padding: str = "border") -> Tensor:
    """`[B, C, h, w]`, `[B, H, W, 2]` → `[B, C, H, W]`."""
    out = torch.zeros_like(x[:, :, :1, :1])
    for corner in _corners(x, grid, padding):
        out = out + (corner.of_row * corner.of_column)[:, None] * _read(x, corner)
    return out


def sample_backward(grad: Tensor, x: Tensor, grid: Tensor, padding: str = "border") -> tuple[Tensor, Tensor]:
    """Gradients of `x` and `grid`."""
    grad_x, grad_grid = torch.zeros_like(x).flatten(2), torch.zeros_like(grid)
    for corner in _corners(x, grid, padding):
        down, right = corner.signs
        given = corner.counted((corner.of_row * corner.of_column)[:, None] * grad)
        grad_x = grad_x.scatter_add(2, corner.pixel, given.flatten(2))
        product = (grad * _read(x, corner)).sum(1)
        of_position = [right * corner.of_row * product, down * corner.of_column * product]
        grad_grid = grad_grid + torch.stack(of_position, -1)
    width, height = x.shape[3], x.shape[2]
    slopes = [_slope(grid[..., k], length, padding) for k, length in enumerate((width, height))]
    return grad_x.reshape(x.shape), grad_grid * torch.stack(slopes, -1)


def _corners(x: Tensor, grid: Tensor, padding: str) -> Iterator[_Corner]:
    """The four pixels around each position; one outside the map stands for the nearest inside, or doesn't count."""
    height, width = x.shape[2:]
    (left, of_right), (top, of_lower) = (_split(grid[..., k], (width, height)[k], padding) for k in (0, 1))
    for down, right in itertools.product((0, 1), (0, 1)):
        row, column = (top + down).clamp(0, height - 1), (left + right).clamp(0, width - 1)
        index = (row * width + column).long().flatten(1)[:, None].expand(-1, x.shape[1], -1)
        weights = (of_lower if down else 1 - of_lower, of_right if right else 1 - of_right)
        there = None
        if padding == "zeros":  # a position that is no number counts, so that all that it gives is none
            there = (row == top + down) & (column == left + right) | (of_right + of_lower).isnan()
            there = there[:, None]
        yield _Corner(index, *weights, (2 * down - 1, 2 * right - 1), there)


def _split(coordinate: Tensor, length: int, padding: str) -> tuple[Tensor, Tensor]:
    """The pixel before each position and the share of the next one.

    Positions outside are put on the border, or, where zeros are read, no further than all corners are outside.
    """
    position = _position(coordinate, length)
    least, most = (0, length - 1) if padding == "border" else (-2, length + 1)
    position = torch.where(position >= most, most, torch.where(position <= least, least, position))
    first = position.detach().nan_to_num(0).floor()
    return first, position - first


def _slope(coordinate: Tensor, length: int, padding: str) -> Tensor:
    """Pixels a unit of the grid: none outside, where the border is read."""
    if padding == "zeros":
        return torch.full_like(coordinate, length / 2)
    position = _position(coordinate, length)
    return torch.where((position <= 0) | (position >= length - 1), 0.0, length / 2).to(coordinate.dtype)


def _position(coordinate: Tensor, length: int) -> Tensor:
    """In pixels, the first at 0, of what goes from -1 to 1 between the borders."""
    return ((coordinate + 1) * length - 1) / 2


def _read(x: Tensor, corner: _Corner) -> Tensor:
    """The pixels of `x` there: `[B, C, H, W]`."""
    found = x.flatten(2).gather(2, corner.pixel)
    return corner.counted(found.reshape(*x.shape[:2], *corner.of_row.shape[1:]))
