"""The 1×1 convolution that embeds features for a kernel generator, and its gradient, added where another lies already.

In float32, channels-last, on the CPU, C kernels serve (`native/pointwise.c`): faster than a general matrix product once
the maps have left the caches, and with few outputs. Elsewhere torch's operators do. `ops.branching` makes a
differentiable whole of it.
"""

from typing import Any, cast

import torch
from torch import Tensor

from denseup import native
from denseup.ops.arguments import check_alike, check_map, check_shape
from denseup.ops.dispatch import choose_backend
from denseup.ops.pointwise import cpu as cpu_pointwise
from denseup.ops.reassembly import cpu as cpu_backend
from denseup.ops.transforms import register_composed


def convolve(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """`[B, C, H, W]`, `[O, C, 1, 1]`, `[O]` → `[B, O, H, W]`."""
    if _served(x, weight, bias):
        return cast(Tensor, _convolve(x, weight, bias))
    return torch.conv2d(x, weight, bias)


def backward(grad: Tensor, x: Tensor, weight: Tensor, to: Tensor | None, parameters: bool) -> tuple[Tensor, Tensor]:
    """Gradients of weight and bias if asked for (`parameters`), else empty; that of `x` is added to `to`, if given.

    Args:
        grad: of the result, `[B, O, H, W]`.
        x: `[B, C, H, W]`.
        weight: `[O, C, 1, 1]`.
        to: `[B, C, H, W]`, in any layout; written to.
        parameters: whether those of weight and bias are wanted.
    """
    if _served(x, weight, None) and (to is None or to.is_contiguous(memory_format=torch.channels_last)):
        return cast(tuple[Tensor, Tensor], _backward(grad, x, weight, to, parameters))
    return _torchs_backward(grad, x, weight, to, parameters)


def _torchs_backward(
    grad: Tensor, x: Tensor, weight: Tensor, to: Tensor | None, parameters: bool
) -> tuple[Tensor, Tensor]:
    if to is not None:
        _add_gradient(to, grad, weight)
    if not parameters:
        return grad.new_empty(0), grad.new_empty(0)
    _, of_weight, _ = gradients(grad, x, weight, (False, True, False))
    return cast(Tensor, of_weight), grad.sum((0, 2, 3))  # which the convolution's own backward is slow at


def gradients(
    grad: Tensor, x: Tensor, weight: Tensor, needs: tuple[bool, bool, bool]
) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
    """Those of `x`, weight and bias that are needed, by torch's operator, which can be differentiated itself."""
    common = ([1, 1], [0, 0], [1, 1], False, [0, 0], 1)  # stride, padding, dilation, not transposed, groups
    found = torch.ops.aten.convolution_backward(grad, x, weight, [weight.shape[0]], *common, needs)
    return found[0], found[1], found[2]


def _add_gradient(to: Tensor, grad: Tensor, weight: Tensor) -> None:
    """By operators that torch's FLOP counter knows, which `addmm_` is not."""
    matrix = weight.flatten(1)  # [O, C]
    if to.is_contiguous(memory_format=torch.channels_last):
        pixels = _pixels(to)
        torch.addmm(pixels, _pixels(grad), matrix, out=pixels)
    elif to.is_contiguous():
        images = to.flatten(2)
        torch.baddbmm(images, matrix.mT.expand(to.shape[0], -1, -1), grad.flatten(2), out=images)
    else:
        to.add_(torch.conv2d(grad, weight.transpose(0, 1)))


def _served(x: Tensor, weight: Tensor, bias: Tensor | None) -> bool:
    return cpu_pointwise.serves(x, weight, bias) and choose_backend(None, x, 1, 1) == cpu_backend.NAME


def _pixels(x: Tensor) -> Tensor:
    """`[B, C, H, W]` → `[B·H·W, C]`, a view where `x` is channels-last."""
    return x.permute(0, 2, 3, 1).reshape(-1, x.shape[1])


@torch.library.custom_op("denseup::pointwise", mutates_args=())
def _convolve(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    _check(x, weight, bias)
    if _can_take(x, weight, bias):
        return cpu_pointwise.convolve(x, weight, bias)
    return torch.conv2d(x, weight, bias).contiguous(memory_format=torch.channels_last)


@torch.library.custom_op("denseup::pointwise_backward", mutates_args=("to",))
def _backward(grad: Tensor, x: Tensor, weight: Tensor, to: Tensor | None, parameters: bool) -> tuple[Tensor, Tensor]:
    _check_backward(grad, x, weight, to)
    if _can_take(x, weight, None) and (to is None or to.is_contiguous(memory_format=torch.channels_last)):
        return cpu_pointwise.backward(grad, x, weight, to, parameters)
    return _torchs_backward(grad, x, weight, to, parameters)


def _can_take(x: Tensor, weight: Tensor, bias: Tensor | None) -> bool:
    return native.library() is not None and cpu_pointwise.can_take(x, weight, bias)


def _check(x: Tensor, weight: Tensor, bias: Tensor | None) -> None:
    check_map("x", x, "[B, C, H, W]")
    if weight.dim() != 4 or weight.shape[1:] != (x.shape[1], 1, 1):
        raise ValueError(f"weight has shape {list(weight.shape)}, expected [O, {x.shape[1]}, 1, 1] as x has")
    check_alike("weight", weight, "x", x)
    if bias is not None:
        check_shape("bias", bias, [weight.shape[0]], "as weight has")
        check_alike("bias", bias, "x", x)


def _check_backward(grad: Tensor, x: Tensor, weight: Tensor, to: Tensor | None) -> None:
    _check(x, weight, None)
    check_shape("grad", grad, [x.shape[0], weight.shape[0], *x.shape[2:]], "as x and weight have")
    check_alike("grad", grad, "x", x)
    if to is not None:
        check_shape("to", to, list(x.shape), "as x has")
        check_alike("to", to, "x", x)


@_convolve.register_fake
def _(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    return x.new_empty((x.shape[0], weight.shape[0], *x.shape[2:])).contiguous(memory_format=torch.channels_last)


@_backward.register_fake
def _(grad: Tensor, x: Tensor, weight: Tensor, to: Tensor | None, parameters: bool) -> tuple[Tensor, Tensor]:
    of_weight, of_bias = (x.new_empty(size) if parameters else x.new_empty(0) for size in (weight.shape, grad.shape[1]))
    return of_weight, of_bias


def _save(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    ctx.save_for_backward(*inputs[:2])


def _gradient(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
    x, weight = ctx.saved_tensors
    return gradients(grad, x, weight, ctx.needs_input_grad)


def _composed(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    _check(x, weight, bias)
    return torch.conv2d(x, weight, bias)


def _refused(*args: Any) -> Any:
    raise RuntimeError("denseup::pointwise_backward writes to its argument `to`: torch.func and forward mode cannot")


_convolve.register_autograd(_gradient, setup_context=_save)
register_composed(_convolve, _composed)
register_composed(_backward, _refused)
