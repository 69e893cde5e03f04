"""How autograd differentiates a 1×1 convolution that is called as an operator: as torch's own."""

from typing import Any

from torch import Tensor

from denseup.ops.convolutions import convolution_backward


def save(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    """Map and weights."""
    ctx.save_for_backward(*inputs[:2])


def of_convolve(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
    """Of map, weight and bias."""
    x, weight = ctx.saved_tensors
    return *convolution_backward(grad, x, weight, ctx.needs_input_grad[:3]), None
