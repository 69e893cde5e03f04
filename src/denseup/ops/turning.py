"""Maps from one layout to the other, NCHW to channels-last and back, differentiable.

An operator whose kernels want channels-last maps turns its inputs once and its result back, whatever its user's layout
is, instead of copying for each of its steps. Double backward works; gradients are turned back.
"""

from typing import Any, cast

import torch
from torch import Tensor

from denseup.ops import dispatch, transforms
from denseup.ops.c_kernels import MISSING, in_layout
from denseup.ops.convolutions import is_transformed
from denseup.ops.geometry import layout

KERNELS = "cpu"
"""The name that back ends in C have in every operator."""


def pays(x: Tensor) -> bool:
    """Whether an operator that has C kernels is to work on a channels-last copy of `x` `[B, C, H, W]`.

    That is in NCHW, in float32 on the CPU; no other back end is asked for, and nothing rewrites what is called.
    """
    if MISSING or x.dtype is not torch.float32 or not x.numel() or not is_eager(x):
        return False
    return dispatch.wished() in (None, KERNELS) and layout(x) is not torch.channels_last


def is_eager(x: Tensor) -> bool:
    """On the CPU, and nothing rewrites what is called."""
    return not transforms.make_a_graph() and x.is_cpu and not is_transformed(x)


def where_it_pays(x: Tensor) -> Tensor:
    """`x` channels-last if that `pays`, else itself."""
    return turned(x, torch.channels_last) if pays(x) else x


def turned(x: Tensor, to: torch.memory_format) -> Tensor:
    """`x` `[B, C, H, W]` dense in a memory format; `x` itself where it is that already."""
    if x.is_contiguous(memory_format=to):
        return x
    if not torch.is_grad_enabled() or not x.requires_grad:
        return in_layout(x, to)
    return cast(Tensor, _Turned.apply(x, to))  # type: ignore[no-untyped-call]


class _Turned(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, to: torch.memory_format) -> Tensor:
        ctx.back = layout(x)
        return in_layout(x, to)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        return turned(grad, ctx.back), None


def gradient_in_layout(x: Tensor) -> Tensor:
    """`x` `[B, C, H, W]`, whose gradient comes dense and in the layout of `x`, eagerly on the CPU.

    For operators of torch that go by the layout of the gradient alone: where a concatenation hands them a part of a
    larger one, that of bilinear interpolation takes ten times as long, that of nearest-neighbour resizing twenty.
    """
    if not x.requires_grad or not is_eager(x):
        return x
    return cast(Tensor, _InLayout.apply(x))  # type: ignore[no-untyped-call]


class _InLayout(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.layout = layout(x)
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        return turned(grad, ctx.layout)
