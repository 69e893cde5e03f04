"""Maps that are read more than once, whose gradients share memory.

FADE reads the encoder feature twice: it is compressed for the kernels, and blended into the output. autograd makes one
gradient for each use and adds them: one more map of the largest size, written, read and, fresh from the system, zeroed
page by page. Here the gradient of a 1×1 convolution is added where the other lies already, in one matrix product.
"""

from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from denseup.ops import transforms
from denseup.ops.convolutions import convolution_backward, is_plain, is_plain_linear, is_transformed
from denseup.ops.dispatch import REFERENCE
from denseup.ops.pointwise import operators, reference
from denseup.ops.pointwise.backends import BACKENDS


class SharedMap:
    """A map that convolutions read first, by `convolve`, and one other operator last.

        shared = SharedMap(en)
        out = operator(convolve(convolution, shared), shared.last())

    The last use must be exactly one operator, and the gradient that it makes of the map fresh memory of its own (as
    those of `denseup.ops` and of convolutions are): it is written to.

    Args:
        x: `[B, C, H, W]`.
    """

    def __init__(self, x: Tensor) -> None:
        self._unread = x

    def convolved(self, convolution: nn.Module) -> Tensor:
        """`convolution(x)`; see `convolve`."""
        out, self._unread = _branch(self._unread, convolution)
        return out

    def last(self) -> Tensor:
        """The map itself, for the last that reads it."""
        return self._unread


def convolve(convolution: nn.Module, x: Tensor | SharedMap) -> Tensor:
    """`convolution(x)`, whose gradient of a `SharedMap` is added to that of the map's last use.

    Anything but a plain 1×1 `nn.Conv2d` (`ops.convolutions`) in eager full-precision execution is simply called, and
    so is every convolution of a map that is read once and that the back ends leave to torch.

    Args:
        convolution: C → E channels.
        x: `[B, C, H, W]`.

    Returns:
        `[B, E, H, W]`.
    """
    if isinstance(x, SharedMap):
        return x.convolved(convolution)
    if is_plain(convolution, 1) and not _is_rewritten(x):
        weight, bias = cast(nn.Conv2d, convolution).weight, cast(nn.Conv2d, convolution).bias
        if BACKENDS.choose(None, x, weight, bias) != REFERENCE:
            return _apart(x, weight, bias)[0]
    out: Tensor = convolution(x)
    return out


def project(linear: nn.Module, x: Tensor) -> Tensor:
    """`linear(x)` of what lies channels-last, as a map: a plain `nn.Linear` is a 1×1 convolution.

    Args:
        linear: C → E channels.
        x: `[B, H, W, C]`.

    Returns:
        `[B, E, H, W]`.
    """
    if is_plain_linear(linear):
        assert isinstance(linear, nn.Linear)
        return project_by(x, linear.weight, linear.bias)
    return cast(Tensor, linear(x)).permute(0, 3, 1, 2)


def project_by(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """The same by a matrix `[E, C]` and a bias `[E]`."""
    as_map = x.permute(0, 3, 1, 2)
    if not _is_rewritten(x):
        kernels = weight[:, :, None, None]
        if BACKENDS.choose(None, as_map, kernels, bias) != REFERENCE:
            return _apart(as_map, kernels, bias)[0]
    return F.linear(x, weight, bias).permute(0, 3, 1, 2)


def _branch(x: Tensor, convolution: nn.Module) -> tuple[Tensor, Tensor]:
    """`convolution(x)`, and `x` as it is to be used from here on."""
    if not is_plain(convolution, 1) or _is_rewritten(x):
        return convolution(x), x
    weight, bias = cast(nn.Conv2d, convolution).weight, cast(nn.Conv2d, convolution).bias
    if torch.is_grad_enabled() and not x.requires_grad and BACKENDS.choose(None, x, weight, bias) == REFERENCE:
        return convolution(x), x
    return _apart(x, weight, bias)


def _is_rewritten(x: Tensor) -> bool:
    """Whether what is called becomes another thing: a graph, which is to hold no Python, or by a transform."""
    return transforms.make_a_graph() or is_transformed(x)


def _apart(x: Tensor, weight: Tensor, bias: Tensor | None) -> tuple[Tensor, Tensor]:
    """The convolution by a back end, and `x` as it is to be used from here on."""
    if not torch.is_grad_enabled():
        return _forward(x, weight, bias), x
    branched: tuple[Tensor, Tensor] = _Branch.apply(x, weight, bias)  # type: ignore[no-untyped-call]
    return branched


class _Branch(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None) -> tuple[Tensor, Tensor]:
        ctx.save_for_backward(x, weight)
        ctx.set_materialize_grads(False)
        return _forward(x, weight, bias), x.view_as(x)

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
        add = grad_x is not None
        if needs_x and grad_x is None:
            grad_x = torch.empty_like(x)
        to = grad_x if needs_x else None
        grad_weight, grad_bias = _backward(grad, x, weight, to, needs_weight or needs_bias, add)
        return to, grad_weight if needs_weight else None, grad_bias if needs_bias else None


def _forward(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    chosen = BACKENDS.choose(None, x, weight, bias)
    if chosen == REFERENCE:
        return reference.convolve(x, weight, bias)
    return cast(Tensor, operators.convolve.computed(x, weight, bias, chosen))


def _backward(
    grad: Tensor, x: Tensor, weight: Tensor, to: Tensor | None, parameters: bool, add: bool
) -> tuple[Tensor, Tensor]:
    chosen = BACKENDS.choose(None, x, weight, None, to)
    if chosen == REFERENCE:
        return reference.backward(grad, x, weight, to, parameters, add)
    return cast(tuple[Tensor, Tensor], operators.backward(grad, x, weight, to, parameters, chosen, add))


def _differentiable(
    grad: Tensor, grad_x: Tensor | None, x: Tensor, weight: Tensor, needs: tuple[bool, bool, bool]
) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
    """The same by torch's operators, which can be differentiated once more."""
    of_x, of_weight, of_bias = convolution_backward(grad, x, weight, needs)
    if of_x is not None and grad_x is not None:
        of_x = grad_x + of_x
    return of_x, of_weight, of_bias
