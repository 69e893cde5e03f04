"""Nearest-neighbour selection and the sum over each source pixel's output pixels, in plain torch.

Both go along the pixels of a channels-last map in its own order, so that results and gradients have its layout and
channels are moved together: `[4, 64, 23, 30]` to 69×90, with gradients, in a tenth of the time.
"""

import torch
from torch import Tensor

from denseup.ops import transforms
from denseup.ops.geometry import Size, layout, source_index


def select(x: Tensor, size: Size) -> Tensor:
    """`[B, C, H, W]` → `[B, C, *size]`."""
    if _is_channels_last(x):
        return _selected(x.permute(0, 2, 3, 1), size, 1).permute(0, 3, 1, 2)
    return _selected(x, size, x.dim() - 2)


def _selected(x: Tensor, size: Size, dim: int) -> Tensor:
    """Of a map whose rows and columns are its dimensions `dim` and the next."""
    rows = source_index(x.shape[dim], size[0], x.device)
    columns = source_index(x.shape[dim + 1], size[1], x.device)
    return x.index_select(dim, rows).index_select(dim + 1, columns)


def sum_of_cells(x: Tensor, height: int, width: int) -> Tensor:
    """`[B, C, H, W]` → `[B, C, height, width]`, in the layout of `x`."""
    if _is_channels_last(x):
        return _summed(x.permute(0, 2, 3, 1), (height, width), 1).permute(0, 3, 1, 2)
    return _summed(x, (height, width), 2)


def _summed(x: Tensor, size: Size, dim: int) -> Tensor:
    """Of a map `[B, …]` whose rows and columns are its dimensions `dim` and the next; dense."""
    for along, length in zip((dim, dim + 1), size, strict=True):
        index = source_index(length, x.shape[along], x.device)
        shape = [*x.shape[:along], length, *x.shape[along + 1 :]]
        x = x.new_zeros(shape).index_add_(along, index, x)
    return x


def _is_channels_last(x: Tensor) -> bool:
    """Of a map that is computed with, and not put into a graph, in which the order of its dimensions says nothing."""
    return x.dim() == 4 and not transforms.make_a_graph() and layout(x) is torch.channels_last
