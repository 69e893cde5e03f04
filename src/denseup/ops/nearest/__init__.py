"""Nearest-neighbour resizing by the integer rule of `ops.geometry`, and its adjoint.

The adjoint is the sum over each source pixel's output pixels.
"""

from denseup.ops.nearest import operators  # noqa: F401  registers what the functions call
from denseup.ops.nearest.functional import resize_nearest, sum_of_cells

__all__ = ["resize_nearest", "sum_of_cells"]
