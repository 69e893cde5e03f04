"""Nearest-neighbour resizing by the integer rule of `ops.geometry`, and its adjoint, the sum over each source pixel's
output pixels.
"""

from typing import Any, cast

import torch
from torch import Tensor
from torch.nn import functional as F

from denseup.ops.arguments import check_map, whole_number
from denseup.ops.batching import fold_batch
from denseup.ops.geometry import Size, layout, like_layout, size_of, source_index
from denseup.ops.transforms import register_composed


def resize_nearest(x: Tensor, output_size: Size) -> Tensor:
    """Nearest-neighbour resizing of `[B, C, H, W]` to `output_size` by the exact integer rule of `ops.geometry`.

    Raises:
        ValueError: `x` has no height and width ≥ 1, or `output_size` is not two whole numbers ≥ 1.
    """
    height, width = x.shape[-2:]
    out_height, out_width = output_size = _checked(x, output_size)
    if (height, width) == (out_height, out_width):
        return x
    if _power_of_two(height, out_height) and _power_of_two(width, out_width):
        return F.interpolate(x, size=output_size, mode="nearest")  # its floating-point scale is exact for these only
    if torch.compiler.is_compiling() and not torch.compiler.is_exporting() and x.requires_grad:
        selected: Tensor = _Select.apply(x, out_height, out_width)  # type: ignore[no-untyped-call]
        return selected
    return _select(x, output_size)


def sum_of_cells(x: Tensor, size: Size) -> Tensor:
    """Sum over the output pixels of each source pixel: `[B, C, H, W]` → `[B, C, *size]`, in the layout of `x`."""
    return cast(Tensor, _sum(x, *size))


def _select(x: Tensor, size: Size) -> Tensor:
    rows = source_index(x.shape[-2], size[0], x.device)
    columns = source_index(x.shape[-1], size[1], x.device)
    return x.index_select(-2, rows).index_select(-1, columns)


class _Select(torch.autograd.Function):
    """`_select` for compiled code: its gradient is one operator, which a compiler calls and does not take apart.

    The gradient that autograd makes of `index_select` scatters. Between layouts inductor tiles that in two dimensions,
    and then adds at wrong addresses, past the tensor's end too, in code for several CPU threads (torch 2.13;
    pytorch#191837).
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, height: int, width: int) -> Tensor:
        ctx.size = size_of(x)
        return _select(x, (height, width))

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        return sum_of_cells(grad, ctx.size), None, None


@torch.library.custom_op("denseup::sum_of_cells", mutates_args=())
def _sum(x: Tensor, height: int, width: int) -> Tensor:
    """`[B, C, H, W]` → `[B, C, height, width]`."""
    _check_cells(x, height, width)
    rows = source_index(height, x.shape[2], x.device)
    columns = source_index(width, x.shape[3], x.device)
    by_row = x.new_zeros(*x.shape[:2], height, x.shape[3]).index_add_(2, rows, x)
    return like_layout(x.new_zeros(*x.shape[:2], height, width).index_add_(3, columns, by_row), x)


@_sum.register_fake
def _(x: Tensor, height: int, width: int) -> Tensor:
    shape = (*x.shape[:2], height, width)
    return torch.empty(shape, dtype=x.dtype, device=x.device, memory_format=layout(x))


def _save(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    ctx.size = size_of(inputs[0])


def _backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
    return resize_nearest(grad, ctx.size), None, None


def _composed(x: Tensor, height: int, width: int) -> Tensor:
    _check_cells(x, height, width)
    rows = source_index(height, x.shape[2], x.device)
    columns = source_index(width, x.shape[3], x.device)
    by_row = x.new_zeros(*x.shape[:2], height, x.shape[3]).index_add(2, rows, x)
    return x.new_zeros(*x.shape[:2], height, width).index_add(3, columns, by_row)


def _check_cells(x: Tensor, height: int, width: int) -> None:
    check_map("x", x)
    for name, length in (("height", height), ("width", width)):
        if length < 1:
            raise ValueError(f"{name} is {length}, expected a whole number ≥ 1")


def _checked(x: Tensor, output_size: Size) -> Size:
    if x.dim() < 2 or not x.shape[-2] or not x.shape[-1]:
        raise ValueError(f"x has shape {list(x.shape)}, expected [B, C, H, W] with a height and a width ≥ 1")
    height, width = output_size
    return whole_number("height of output_size", height), whole_number("width of output_size", width)


register_composed(_sum, _composed)
_sum.register_autograd(_backward, setup_context=_save)
_sum.register_vmap(fold_batch(_sum))


def _power_of_two(length: int, output_length: int) -> bool:
    factor = output_length // length
    return factor * length == output_length and factor in (1, 2, 4, 8, 16, 32, 64)
