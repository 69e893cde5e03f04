"""Public functions: nearest-neighbour resizing and its adjoint."""

import math
from typing import Any, cast

import torch
from torch import Tensor
from torch.nn import functional as F

from denseup.ops import transforms, turning
from denseup.ops.arguments import FLOATS, check_countable, check_tensor, two_lengths
from denseup.ops.geometry import Size, size_of
from denseup.ops.nearest.reference import select


def resize_nearest(x: Tensor, output_size: Size) -> Tensor:
    """Nearest-neighbour resizing of `[B, C, H, W]` to `output_size` by the exact integer rule of `ops.geometry`.

    Raises:
        ValueError: `x` has no height and width ≥ 1, or `output_size` is not two whole numbers ≥ 1.
    """
    out_height, out_width = output_size = _checked(x, output_size)
    check_countable("output_size", output_size, *x.shape[:2], *output_size)
    height, width = size_of(x)
    if transforms.takes_any_size(*x.shape[2:], *output_size):  # it can't go by the ratio of two
        return select(x, output_size)
    if (height, width) == (out_height, out_width):
        return x
    known_to_torch = x.dim() == 4 and x.dtype in FLOATS and x.numel() != 0
    by_torch = _exact_in_torch if turning.is_eager(x) else _power_of_two  # whose arithmetic is that of its CPU kernels
    if known_to_torch and by_torch(height, out_height) and by_torch(width, out_width):
        return turning.gradient_in_layout(F.interpolate(x, size=output_size, mode="nearest"))
    if torch.compiler.is_compiling() and not torch.compiler.is_exporting() and x.requires_grad:
        selected: Tensor = _Select.apply(x, out_height, out_width)  # type: ignore[no-untyped-call]
        return selected
    return select(x, output_size)


def sum_of_cells(x: Tensor, size: Size) -> Tensor:
    """Sum over the output pixels of each source pixel: `[B, C, H, W]` → `[B, C, *size]`, in the layout of `x`."""
    return cast(Tensor, torch.ops.denseup.sum_of_cells.default(x, *size))


class _Select(torch.autograd.Function):
    """`select` for compiled code: its gradient is one operator, which a compiler calls and does not take apart.

    The gradient that autograd makes of `index_select` scatters. Between layouts inductor tiles that in two dimensions,
    and then adds at wrong addresses, past the tensor's end too, in code for several CPU threads (torch 2.13;
    pytorch#191837).
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, height: int, width: int) -> Tensor:
        ctx.size = size_of(x)
        return select(x, (height, width))

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        return sum_of_cells(grad, ctx.size), None, None


def _checked(x: Tensor, output_size: Size) -> Size:
    check_tensor("x", x, "[B, C, H, W]")
    if x.dim() < 2 or not x.shape[-2] or not x.shape[-1]:
        raise ValueError(f"x has shape {list(x.shape)}, expected [B, C, H, W] with a height and a width ≥ 1")
    return two_lengths("output_size", output_size)


def _exact_in_torch(length: int, output_length: int) -> bool:
    """Whether the index ⌊y·fl(h/H)⌋ of torch on a CPU, in float32 or more, is that of whole numbers.

    It takes a half to two thirds of the time of selecting pixels, in NCHW a quarter. Without a common divisor the only
    whole number among y·h/H, y < H, is 0; all others lie 1/H or more from one, and two roundings move them by less than
    h·2⁻²². Where h and H have a common divisor a whole number may come out below itself, and only powers of two are
    exact.
    """
    apart = math.gcd(length, output_length) == 1 and length * output_length <= _FAR_ENOUGH
    return apart or _power_of_two(length, output_length)


_FAR_ENOUGH = 2**21
"""The largest h·H for which 1/H is more than both roundings, with as much again to spare."""


def _power_of_two(length: int, output_length: int) -> bool:
    factor = output_length // length
    return factor * length == output_length and factor in (1, 2, 4, 8, 16, 32, 64)
