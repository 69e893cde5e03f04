"""How autograd differentiates the operators of reassembly.

Each of the three contractions is differentiated by the other two, so gradients of any order exist. Softmax, reassembly
and gate in one have a gradient in one, which is differentiated through the contractions. Nothing but the inputs is
kept.
"""

from typing import Any, cast

import torch
from torch import Tensor

from denseup.ops.geometry import Size, size_of
from denseup.ops.reassembly.contractions import softmax_reassemble_backward
from denseup.ops.registration import OPERATORS


def save(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    """For a contraction."""
    ctx.save_for_backward(*inputs[:2])
    ctx.kernel_size, ctx.groups, ctx.backend = *inputs[2:4], inputs[-1]


def of_reassemble(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
    """Of de and kernels."""
    de, kernels = ctx.saved_tensors
    needs_de, needs_kernels, *_ = ctx.needs_input_grad
    grad_de = _of(ctx).adjoint(grad, kernels, ctx.kernel_size, ctx.groups, size_of(de)) if needs_de else None
    grad_kernels = _of(ctx).similarity(grad, de, ctx.kernel_size, ctx.groups) if needs_kernels else None
    return grad_de, grad_kernels, None, None, None


def of_adjoint(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
    """Of the high-resolution map and kernels."""
    high, kernels = ctx.saved_tensors
    needs_high, needs_kernels, *_ = ctx.needs_input_grad
    grad_high = _of(ctx).reassemble(grad, kernels, ctx.kernel_size, ctx.groups) if needs_high else None
    grad_kernels = _of(ctx).similarity(high, grad, ctx.kernel_size, ctx.groups) if needs_kernels else None
    return grad_high, grad_kernels, None, None, None, None, None


def of_similarity(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
    """Of query and key."""
    query, key = ctx.saved_tensors
    needs_query, needs_key, *_ = ctx.needs_input_grad
    grad_query = _of(ctx).reassemble(key, grad, ctx.kernel_size, ctx.groups) if needs_query else None
    grad_key = _of(ctx).adjoint(query, grad, ctx.kernel_size, ctx.groups, size_of(key)) if needs_key else None
    return grad_query, grad_key, None, None, None


def save_all(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
    """For softmax, reassembly and gate in one."""
    *tensors, ctx.kernel_size, ctx.groups, ctx.backend = inputs
    ctx.save_for_backward(*tensors)


def of_softmax_reassemble(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
    """Of de, logits, en and gate."""
    tensors = ctx.saved_tensors
    backward = OPERATORS["fused_reassemble_backward"]
    grads = backward.computed(grad, *tensors, ctx.kernel_size, ctx.groups, ctx.backend)
    found = (None if x is None else value for x, value in zip(tensors, grads, strict=True))
    return *found, None, None, None


def of_softmax_reassemble_backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
    """Differentiate the gradient made of contractions, which are differentiable themselves."""
    leaves = [None if x is None else x.detach().requires_grad_() for x in ctx.saved_tensors]
    there = [x for x in leaves if x is not None]
    with torch.enable_grad():
        first = softmax_reassemble_backward(_of(ctx), *leaves, ctx.kernel_size, ctx.groups)  # type: ignore[call-arg,arg-type]
        pairs = [(y, g) for y, g in zip(first, grads, strict=True) if y is not None and g is not None]
        outputs, weights = ([pair[side] for pair in pairs] for side in (0, 1))
        found = iter(torch.autograd.grad(outputs, there, weights, allow_unused=True))
    return *(None if x is None else next(found) for x in leaves), None, None, None


def _of(ctx: Any) -> "_Contractions":
    return _Contractions(ctx.backend)


class _Contractions:
    """The operators of one back end, as `contractions.py` wants them."""

    def __init__(self, backend: str) -> None:
        self.backend = backend

    def reassemble(self, de: Tensor, kernels: Tensor, kernel_size: int, groups: int) -> Tensor:
        return cast(Tensor, OPERATORS["reassemble"].computed(de, kernels, kernel_size, groups, self.backend))

    def adjoint(self, grad: Tensor, kernels: Tensor, kernel_size: int, groups: int, size: Size) -> Tensor:
        out = OPERATORS["reassemble_adjoint"].computed(grad, kernels, kernel_size, groups, *size, self.backend)
        return cast(Tensor, out)

    def similarity(self, query: Tensor, key: Tensor, kernel_size: int, groups: int) -> Tensor:
        return cast(Tensor, OPERATORS["local_similarity"].computed(query, key, kernel_size, groups, self.backend))
