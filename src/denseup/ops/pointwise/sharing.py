"""A 1×1 convolution of a map that something else reads too, whose gradient joins the other's without a map of its own.

FADE reads the encoder feature twice: it is compressed for the kernels, and blended into the output. autograd makes one
gradient for each use and adds them: one more map of the largest size, written, read and, fresh from the system,
zeroed page by page. Here the convolution's gradient is added where the other lies already, in one matrix product.
"""

from typing import Any, cast

import torch
from torch import Tensor, nn

from denseup.ops.convolutions import is_plain, is_transformed
from denseup.ops.pointwise import operators as pointwise


def pointwise_branch(x: Tensor, convolution: nn.Module) -> tuple[Tensor, Tensor]:
    """`convolution(x)`, and `x` for the other use.

    That use must be exactly one operator, and the gradient it makes of `x` fresh memory of its own (as those of
    `denseup.ops` and of convolutions are): it is written to. Anything but a plain 1×1 `nn.Conv2d` without hooks in
    eager full-precision execution is simply called.

    Args:
        x: `[B, C, H, W]`.
        convolution: C → E channels.

    Returns:
        `[B, E, H, W]`, and `x` as it is to be used from here on.
    """
    tracing = torch.jit.is_tracing()  # type: ignore[no-untyped-call]
    rewritten = torch.compiler.is_compiling() or tracing  # into a graph, which is to hold no Python
    if not is_plain(convolution, 1) or rewritten or is_transformed(x):
        return convolution(x), x
    weight, bias = cast(nn.Conv2d, convolution).weight, cast(nn.Conv2d, convolution).bias
    if not torch.is_grad_enabled():
        return pointwise.convolve(x, weight, bias), x
    if not x.requires_grad:
        return convolution(x), x
    branched: tuple[Tensor, Tensor] = _Branch.apply(x, weight, bias)  # type: ignore[no-untyped-call]
    return branched


class _Branch(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None) -> tuple[Tensor, Tensor]:
        ctx.save_for_backward(x, weight)
        ctx.set_materialize_grads(False)
        return pointwise.convolve(x, weight, bias), x.view_as(x)

    @staticmethod
    def backward(
        ctx: Any, grad: Tensor | None, grad_x: Tensor | None
    ) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        x, weight = ctx.saved_tensors
        if grad is None:
            return grad_x, None, None
        if torch.is_grad_enabled():
            return _differentiable(grad, grad_x, x, weight, ctx.needs_input_grad)
        needs_x, needs_weight, needs_bias = ctx.needs_input_grad
        if needs_x and grad_x is None:
            grad_x = torch.zeros_like(x)
        to = grad_x if needs_x else None
        grad_weight, grad_bias = pointwise.backward(grad, x, weight, to, needs_weight or needs_bias)
        return to, grad_weight if needs_weight else None, grad_bias if needs_bias else None


def _differentiable(
    grad: Tensor, grad_x: Tensor | None, x: Tensor, weight: Tensor, needs: tuple[bool, bool, bool]
) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
    """The same by torch's operators, which can be differentiated once more."""
    of_x, of_weight, of_bias = pointwise.gradients(grad, x, weight, needs)
    if of_x is not None and grad_x is not None:
        of_x = grad_x + of_x
    return of_x, of_weight, of_bias
