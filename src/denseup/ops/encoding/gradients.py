"""How autograd differentiates content encoding: once by the back end, again through the composed form."""

from typing import Any

import torch
from torch import Tensor

from denseup.ops.encoding.reference import encode
from denseup.ops.registration import OPERATORS


def save(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    """The maps and the weights."""
    ctx.save_for_backward(*inputs[:3])
    ctx.backend = inputs[4]


def of_encode(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
    """Of high, low, weight and bias."""
    needs = list(ctx.needs_input_grad[:4])
    found = OPERATORS["encode_content_backward"].computed(grad, *ctx.saved_tensors, needs, ctx.backend)
    return *(x if need else None for x, need in zip(found, needs, strict=True)), None


def save_backward(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
    """All tensors, and which gradients were asked for."""
    *tensors, ctx.needs, _ = inputs
    ctx.save_for_backward(*tensors)


def of_encode_backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
    """Differentiate the gradient of the composed form, which is differentiable as often as one likes."""
    leaves = [None if x is None else x.detach().requires_grad_() for x in ctx.saved_tensors]
    grad, high, low, weight = leaves
    assert high is not None
    assert weight is not None
    with torch.enable_grad():
        bias = torch.zeros_like(weight[:, 0, 0, 0]).requires_grad_()
        tensors = zip((high, low, weight, bias), grads, ctx.needs, strict=True)
        wanted = [(x, g) for x, g, need in tensors if need and x is not None]
        first = torch.autograd.grad(encode(high, low, weight, bias), [x for x, _ in wanted], grad, create_graph=True)
        pairs = [(y, g) for y, (_, g) in zip(first, wanted, strict=True) if g is not None]
        there = [x for x in leaves if x is not None]
        found = iter(torch.autograd.grad([y for y, _ in pairs], there, [g for _, g in pairs], allow_unused=True))
    return *(None if x is None else next(found) for x in leaves), None, None
