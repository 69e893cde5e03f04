"""Sampling at positions in pixels through a function that samples by torch's coordinates, one group as one image."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor


def by_grid(
    sample: Callable[..., Any], x: Tensor, positions: Tensor, groups: int, padding: str, slopes: bool = False
) -> Tensor:
    """`[B, C, h, w]`, `[B, 2·G, H, W]` → `[B, C, H, W]`; `sample` takes map, grid and padding.

    `slopes` says that derivatives are taken of it, so that whole numbers should be seen on their right side.
    """
    height, width = x.shape[2:]
    columns, rows = (half.flatten(0, 1) for half in positions.chunk(2, 1))
    halves = [(2 * columns + 1) / width - 1, (2 * rows + 1) / height - 1]
    if slopes:
        halves[0] = halves[0] + _aside(columns, width, padding)
        halves[1] = halves[1] + _aside(rows, height, padding)
    grid = torch.stack(halves, -1)
    out: Tensor = sample(x.reshape(x.shape[0] * groups, x.shape[1] // groups, height, width), grid, padding)
    return out.reshape(*x.shape[:2], *out.shape[2:])


def _aside(position: Tensor, length: int, padding: str) -> Tensor:
    """What to add to the coordinate of a position in pixels: nothing, unless it is nearly a whole number.

    The pixels that torch makes of coordinates again may lie on either side of a whole number, by a rounding, which
    decides between two slopes. So a position keeps its side; a whole one is on that of the pixel after, or, where a
    border is repeated, beyond the first and the last pixel, where there is no slope. Both conversions together are off
    by less than two units of 1 in the coordinate, which are `length` units in pixels.
    """
    position, unit = position.detach(), torch.finfo(position.dtype).eps
    nearest = position.round()
    step = torch.where((position - nearest).abs() <= length * unit, 2 * unit, 0.0).to(position.dtype)
    before = position < nearest if padding == "zeros" else (position < nearest) | (position <= 0)
    return torch.where(before, -step, step)


def gradients_by_grid(
    backward: Callable[..., tuple[Tensor, Tensor]],
    grad: Tensor,
    x: Tensor,
    positions: Tensor,
    groups: int,
    padding: str,
) -> tuple[Tensor, Tensor]:
    """Gradients of `x` and `positions`, by a function of gradient, map, grid and padding that gives those of two."""
    found: list[Tensor] = []

    def keeping(x: Tensor, grid: Tensor, padding: str) -> Tensor:
        of_groups = grad.reshape(*x.shape[:2], *grid.shape[1:3])
        found.extend(backward(of_groups, x, grid, padding))
        return of_groups

    by_grid(keeping, x, positions, groups, padding, slopes=True)
    of_pixels = zip(found[1].unbind(-1), (x.shape[3], x.shape[2]), strict=True)  # 2 units of the grid are all of them
    halves = [(half * (2 / length)).reshape(x.shape[0], groups, *grad.shape[2:]) for half, length in of_pixels]
    return found[0].reshape(x.shape), torch.cat(halves, 1)
