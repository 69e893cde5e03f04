"""The sum over each source pixel's output pixels in differentiable torch operators."""

from torch import Tensor

from denseup.ops.geometry import source_index


def sum_of_cells(x: Tensor, height: int, width: int) -> Tensor:
    """`[B, C, H, W]` → `[B, C, height, width]`; nothing is written in place."""
    rows = source_index(height, x.shape[2], x.device)
    columns = source_index(width, x.shape[3], x.device)
    by_row = x.new_zeros(*x.shape[:2], height, x.shape[3]).index_add(2, rows, x)
    return x.new_zeros(*x.shape[:2], height, width).index_add(3, columns, by_row)
