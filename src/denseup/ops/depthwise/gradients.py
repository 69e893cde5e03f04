"""How autograd differentiates a depthwise convolution: once by the back end, again by torch's operators."""

from typing import Any

import torch
from torch import Tensor

from denseup.ops.depthwise import reference
from denseup.ops.registration import OPERATORS


def save(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    """Map and weight."""
    ctx.save_for_backward(*inputs[:2])
    ctx.stride, ctx.padding, ctx.backend = inputs[2:]


def of_depthwise(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
    """Of map and weight."""
    needs = list(ctx.needs_input_grad[:2])
    backward = OPERATORS["depthwise_backward"]
    found = backward.computed(grad, *ctx.saved_tensors, ctx.stride, ctx.padding, needs, ctx.backend)
    return *(x if need else None for x, need in zip(found, needs, strict=True)), None, None, None


def save_backward(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
    """All tensors, and which gradients were asked for."""
    *tensors, ctx.stride, ctx.padding, ctx.needs, _ = inputs
    ctx.save_for_backward(*tensors)


def of_backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
    """Of the gradient that came, map and weight, by differentiating torch's form once more."""
    grad, x, weight = leaves = [saved.detach().requires_grad_() for saved in ctx.saved_tensors]
    with torch.enable_grad():
        first = reference.backward(grad, x, weight, ctx.stride, ctx.padding, ctx.needs)
        pairs = [(y, g) for y, g in zip(first, grads, strict=True) if y is not None and g is not None]
        outputs, weights = ([pair[side] for pair in pairs] for side in (0, 1))
        found = torch.autograd.grad(outputs, leaves, weights, allow_unused=True)
    return *found, None, None, None, None
