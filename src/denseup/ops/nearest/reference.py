"""Nearest-neighbour selection and the sum over each source pixel's output pixels, in plain torch."""

from torch import Tensor

from denseup.ops.geometry import Size, like_layout, source_index


def select(x: Tensor, size: Size) -> Tensor:
    """`[B, C, H, W]` → `[B, C, *size]`."""
    rows = source_index(x.shape[-2], size[0], x.device)
    columns = source_index(x.shape[-1], size[1], x.device)
    return x.index_select(-2, rows).index_select(-1, columns)


def sum_of_cells(x: Tensor, height: int, width: int) -> Tensor:
    """`[B, C, H, W]` → `[B, C, height, width]`, in the layout of `x`."""
    rows = source_index(height, x.shape[2], x.device)
    columns = source_index(width, x.shape[3], x.device)
    by_row = x.new_zeros(*x.shape[:2], height, x.shape[3]).index_add_(2, rows, x)
    return like_layout(x.new_zeros(*x.shape[:2], height, width).index_add_(3, columns, by_row), x)
