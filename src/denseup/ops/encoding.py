"""Content encoding: the 3×3 convolution that makes kernel logits of embedded features.

    logits = conv(high)                         CARAFE's content encoder (Wang et al., ICCV 2019)
    logits = conv(high) + nearest(conv(low))    the semi-shift convolution (Lu et al., FADE, ECCV 2022, eq. 3)

with the same weights and bias in both, so that the bias counts twice. It has few outputs, which general convolutions
are slow at: in float32 on the CPU, Winograd's form of it in C takes half their time (`native/encoding.c`); elsewhere
torch's convolution serves.
"""

from collections.abc import Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from denseup.ops import cpu_backend, cpu_encoding, decompositions
from denseup.ops.backends import choose_backend
from denseup.ops.geometry import layout, like_layout, size_of
from denseup.ops.nearest import resize_nearest
from denseup.ops.plain import is_plain, is_transformed


def encode_content(convolution: nn.Module, high: Tensor, low: Tensor | None = None) -> Tensor:
    """Logits of the high-resolution map, and of a low-resolution one raised by nearest neighbour.

    Args:
        convolution: C → O channels, of a size-keeping kind.
        high: `[B, C, H, W]`.
        low: `[B, C, h, w]`, or None.

    Returns:
        `[B, O, H, W]`.
    """
    if is_plain(convolution, 3) and not is_transformed(high) and not decompositions.are_wanted():
        weight, bias = cast(nn.Conv2d, convolution).weight, cast(nn.Conv2d, convolution).bias
        if cpu_encoding.serves(high, low, weight, bias) and choose_backend(None, high, 3, 1) == cpu_backend.NAME:
            return cast(Tensor, encode(high, low, weight, bias))
    logits: Tensor = convolution(high)
    return logits if low is None else logits + resize_nearest(convolution(low), size_of(high))


def composed(high: Tensor, low: Tensor | None, weight: Tensor, bias: Tensor | None) -> Tensor:
    """The same from torch's operators."""
    logits = F.conv2d(high, weight, bias, padding=1)
    return logits if low is None else logits + resize_nearest(F.conv2d(low, weight, bias, padding=1), size_of(high))


@torch.library.custom_op("denseup::encode_content", mutates_args=())
def encode(high: Tensor, low: Tensor | None, weight: Tensor, bias: Tensor | None) -> Tensor:
    """`[B, C, H, W]`, `[B, C, h, w]`, `[O, C, 3, 3]`, `[O]` → `[B, O, H, W]`."""
    return like_layout(cpu_encoding.encode(high, low, weight, bias), high)


@torch.library.custom_op("denseup::encode_content_backward", mutates_args=())
def encode_backward(
    grad: Tensor, high: Tensor, low: Tensor | None, weight: Tensor, needs: Sequence[bool]
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Gradients of high, low, weight and bias, in the layout of their tensors; empty for those that are not needed."""
    found = cpu_encoding.encode_backward(grad, high, low, weight, needs)
    of_maps = [
        grad.new_empty(0) if y is None or x is None else like_layout(y, x)
        for x, y in zip((high, low, weight), found, strict=False)
    ]
    return of_maps[0], of_maps[1], of_maps[2], grad.new_empty(0) if found[3] is None else found[3]


@encode.register_fake
def _(high: Tensor, low: Tensor | None, weight: Tensor, bias: Tensor | None) -> Tensor:
    shape = (high.shape[0], weight.shape[0], *high.shape[2:])
    return torch.empty(shape, dtype=high.dtype, device=high.device, memory_format=layout(high))


@encode_backward.register_fake
def _(
    grad: Tensor, high: Tensor, low: Tensor | None, weight: Tensor, needs: Sequence[bool]
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    of_maps = [
        torch.empty_like(x, memory_format=layout(x)) if need and x is not None else grad.new_empty(0)
        for x, need in zip((high, low, weight), needs, strict=False)
    ]
    return of_maps[0], of_maps[1], of_maps[2], grad.new_empty(weight.shape[0] if needs[3] else 0)


def _save(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    ctx.save_for_backward(*inputs[:3])


def _backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
    needs = list(ctx.needs_input_grad)
    found = encode_backward(grad, *ctx.saved_tensors, needs)
    return tuple(x if need else None for x, need in zip(found, needs, strict=True))


def _save_backward(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
    *tensors, ctx.needs = inputs
    ctx.save_for_backward(*tensors)


def _double_backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
    """Differentiate the gradient of the composed form, which is differentiable as often as one likes."""
    leaves = [None if x is None else x.detach().requires_grad_() for x in ctx.saved_tensors]
    grad, high, low, weight = leaves
    assert high is not None
    assert weight is not None
    with torch.enable_grad():
        bias = torch.zeros_like(weight[:, 0, 0, 0]).requires_grad_()
        tensors = zip((high, low, weight, bias), grads, ctx.needs, strict=True)
        wanted = [(x, g) for x, g, need in tensors if need and x is not None]
        first = torch.autograd.grad(composed(high, low, weight, bias), [x for x, _ in wanted], grad, create_graph=True)
        pairs = [(y, g) for y, (_, g) in zip(first, wanted, strict=True) if g is not None]
        there = [x for x in leaves if x is not None]
        found = iter(torch.autograd.grad([y for y, _ in pairs], there, [g for _, g in pairs], allow_unused=True))
    return *(None if x is None else next(found) for x in leaves), None


encode.register_autograd(_backward, setup_context=_save)
encode_backward.register_autograd(_double_backward, setup_context=_save_backward)
