"""Nearest-neighbour resizing by the integer rule of `ops.geometry`, and its adjoint."""

from denseup.ops.nearest.operators import resize_nearest, sum_of_cells

__all__ = ["resize_nearest", "sum_of_cells"]
