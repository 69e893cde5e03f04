"""A 1×1 convolution of a map that something else reads too, whose gradient joins the other's without a map of its own.

FADE reads the encoder feature twice: it is compressed for the kernels, and blended into the output. autograd makes one
gradient for each use and adds them: one more map of the largest size, written, read and, fresh from the system,
zeroed page by page. Here the convolution's gradient is added where the other lies already, in one matrix product.
"""

from typing import Any

import torch
from torch import Tensor, nn

from denseup.ops.plain import is_plain, is_transformed


def pointwise_branch(x: Tensor, convolution: nn.Module) -> tuple[Tensor, Tensor]:
    """`convolution(x)`, and `x` for the other use.

    That use must be exactly one operator, and the gradient it makes of `x` fresh memory of its own (as those of
    `denseup.ops` and of convolutions are): it is written to. Anything but a plain 1×1 `nn.Conv2d` without hooks in
    eager full-precision training is simply called.

    Args:
        x: `[B, C, H, W]`.
        convolution: C → E channels.

    Returns:
        `[B, E, H, W]`, and `x` as it is to be used from here on.
    """
    training = torch.is_grad_enabled() and x.requires_grad
    if not training or not is_plain(convolution, 1) or torch.compiler.is_compiling() or is_transformed(x):
        return convolution(x), x
    branched: tuple[Tensor, Tensor] = _Branch.apply(x, convolution.weight, convolution.bias)  # type: ignore[no-untyped-call]
    return branched


class _Branch(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None) -> tuple[Tensor, Tensor]:
        ctx.save_for_backward(x, weight)
        ctx.set_materialize_grads(False)
        return torch.conv2d(x, weight, bias), x.view_as(x)

    @staticmethod
    def backward(
        ctx: Any, grad: Tensor | None, grad_x: Tensor | None
    ) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        x, weight = ctx.saved_tensors
        if grad is None:
            return grad_x, None, None
        needs_x, needs_weight, needs_bias = ctx.needs_input_grad
        grad_weight = grad_bias = None
        if needs_weight:
            common = ([1, 1], [0, 0], [1, 1], False, [0, 0], 1)  # stride, padding, dilation, not transposed, groups
            mask = [False, True, False]
            _, grad_weight, _ = torch.ops.aten.convolution_backward(grad, x, weight, None, *common, mask)
        if needs_bias:
            grad_bias = grad.sum((0, 2, 3))  # which the convolution's own backward is slow at
        if needs_x:
            if grad_x is None or torch.is_grad_enabled():
                grad_x = _sum(grad_x, grad, weight)
            else:
                _add(grad_x, grad, weight)
        return grad_x if needs_x else None, grad_weight, grad_bias


def _sum(to: Tensor | None, grad: Tensor, weight: Tensor) -> Tensor:
    """`to`, if any, plus the gradient of the convolution's input; a new tensor, differentiable."""
    product = torch.conv2d(grad, weight.transpose(0, 1))
    return product if to is None else to + product


def _add(to: Tensor, grad: Tensor, weight: Tensor) -> None:
    """The same, written into `to`."""
    matrix = weight.flatten(1)  # [E, C]
    if to.is_contiguous(memory_format=torch.channels_last):
        to.permute(0, 2, 3, 1).view(-1, to.shape[1]).addmm_(_pixels(grad), matrix)
    elif to.is_contiguous():
        to.flatten(2).baddbmm_(matrix.mT.expand(to.shape[0], -1, -1), grad.flatten(2))
    else:
        to.add_(torch.conv2d(grad, weight.transpose(0, 1)))


def _pixels(x: Tensor) -> Tensor:
    """`[B, C, H, W]` → `[B·H·W, C]`, a view where `x` is channels-last."""
    return x.permute(0, 2, 3, 1).reshape(-1, x.shape[1])
