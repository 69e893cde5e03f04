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

from denseup import native
from denseup.ops.arguments import check_alike, check_map, check_shape
from denseup.ops.convolutions import is_plain, is_transformed
from denseup.ops.dispatch import choose_backend
from denseup.ops.encoding import cpu as cpu_encoding
from denseup.ops.geometry import layout, like_layout, size_of
from denseup.ops.nearest.operators import resize_nearest, sum_of_cells
from denseup.ops.reassembly import cpu as cpu_backend
from denseup.ops.reassembly import decomposition as decompositions
from denseup.ops.transforms import register_composed


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
    _check(high, low, weight, bias)
    if _can_take(high, low, weight, bias):
        return like_layout(cpu_encoding.encode(high, low, weight, bias), high)
    return like_layout(composed(high, low, weight, bias), high)


@torch.library.custom_op("denseup::encode_content_backward", mutates_args=())
def encode_backward(
    grad: Tensor, high: Tensor, low: Tensor | None, weight: Tensor, needs: Sequence[bool]
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Gradients of high, low, weight and bias, in the layout of their tensors; empty for those that are not needed."""
    _check_backward(grad, high, low, weight, needs)
    if _can_take(high, low, weight, None):
        found = cpu_encoding.encode_backward(grad, high, low, weight, needs)
    else:
        found = composed_backward(grad, high, low, weight, needs)
    of_maps = [
        grad.new_empty(0) if y is None or x is None else like_layout(y, x)
        for x, y in zip((high, low, weight), found, strict=False)
    ]
    return of_maps[0], of_maps[1], of_maps[2], grad.new_empty(0) if found[3] is None else found[3]


def composed_backward(
    grad: Tensor, high: Tensor, low: Tensor | None, weight: Tensor, needs: Sequence[bool]
) -> tuple[Tensor | None, ...]:
    """Gradients of high, low, weight and bias of `composed`, of those that are needed."""
    needs_high, needs_low, needs_weight, needs_bias = needs
    of_high, of_weight, of_bias = _convolution_backward(grad, high, weight, (needs_high, needs_weight, needs_bias))
    if low is None:
        return of_high, None, of_weight, of_bias
    raised = sum_of_cells(grad, size_of(low))
    of_low, *again = _convolution_backward(raised, low, weight, (needs_low, needs_weight, needs_bias))
    both = (None if x is None or y is None else x + y for x, y in zip((of_weight, of_bias), again, strict=True))
    return of_high, of_low, *both


def _convolution_backward(
    grad: Tensor, x: Tensor, weight: Tensor, needs: tuple[bool, bool, bool]
) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
    """Gradients of map, weight and bias, of those that are needed, by torch's operator, differentiable itself."""
    common = ([1, 1], [1, 1], [1, 1], False, [0, 0], 1)  # stride, padding, dilation, not transposed, groups
    found = torch.ops.aten.convolution_backward(grad, x, weight, [weight.shape[0]], *common, needs)
    return found[0], found[1], found[2]


def _can_take(high: Tensor, low: Tensor | None, weight: Tensor, bias: Tensor | None) -> bool:
    return native.library() is not None and cpu_encoding.can_take(high, low, weight, bias)


def _check(high: Tensor, low: Tensor | None, weight: Tensor, bias: Tensor | None) -> None:
    check_map("high", high, "[B, C, H, W]")
    if weight.dim() != 4 or weight.shape[1:] != (high.shape[1], 3, 3):
        raise ValueError(f"weight has shape {list(weight.shape)}, expected [O, {high.shape[1]}, 3, 3] as high has")
    check_alike("weight", weight, "high", high)
    if low is not None:
        check_map("low", low)
        check_shape("low", low, [*high.shape[:2], *low.shape[2:]], "as high has")
        check_alike("low", low, "high", high)
    if bias is not None:
        check_shape("bias", bias, [weight.shape[0]], "as weight has")
        check_alike("bias", bias, "high", high)


def _check_backward(grad: Tensor, high: Tensor, low: Tensor | None, weight: Tensor, needs: Sequence[bool]) -> None:
    _check(high, low, weight, None)
    check_shape("grad", grad, [high.shape[0], weight.shape[0], *high.shape[2:]], "as high and weight have")
    check_alike("grad", grad, "high", high)
    if len(needs) != 4:
        raise ValueError(f"needs is {list(needs)}, expected four: of high, low, weight and bias")


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


def _composed(high: Tensor, low: Tensor | None, weight: Tensor, bias: Tensor | None) -> Tensor:
    _check(high, low, weight, bias)
    return composed(high, low, weight, bias)


def _composed_backward(
    grad: Tensor, high: Tensor, low: Tensor | None, weight: Tensor, needs: Sequence[bool]
) -> tuple[Tensor, ...]:
    _check_backward(grad, high, low, weight, needs)
    found = composed_backward(grad, high, low, weight, needs)
    return tuple(grad.new_empty(0) if x is None else x for x in found)


register_composed(encode, _composed)
register_composed(encode_backward, _composed_backward)
