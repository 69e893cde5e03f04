"""The sum over each source pixel's output pixels as torch sees it."""

from typing import Any

from torch import Tensor

from denseup.ops.arguments import check_map
from denseup.ops.geometry import new_map, size_of
from denseup.ops.nearest import decomposition, reference
from denseup.ops.nearest.functional import resize_nearest
from denseup.ops.registration import Gradient, register


def _check(x: Tensor, height: int, width: int) -> None:
    check_map("x", x)
    for name, length in (("height", height), ("width", width)):
        if length < 1:
            raise ValueError(f"{name} is {length}, expected a whole number ≥ 1")


def _save(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    ctx.size = size_of(inputs[0])


def _backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
    return resize_nearest(grad, ctx.size), None, None


sum_of_cells = register(
    "sum_of_cells",
    reference.sum_of_cells,
    check=_check,
    fake=lambda x, height, width: new_map(x, x.shape[1], (height, width)),
    composed=decomposition.sum_of_cells,
    gradient=Gradient(_save, _backward),
    each_image_alone=True,
)
"""`[B, C, H, W]` → `[B, C, height, width]`."""
