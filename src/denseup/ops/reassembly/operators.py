"""The operators as torch sees them: `torch.library` operators with fake kernels, autograd, forward-mode and vmap rules.

Each of the three contractions of `ops.reference` is differentiated by the other two, so gradients of any order exist.
The fused operator (softmax, reassembly, gate) has a fused gradient, which is differentiated through the contractions.
Nothing but the inputs is kept for backward. Results have the memory format of the first argument.

Each checks its arguments itself, for it can be called as `torch.ops.denseup.…` too, and back ends trust what they get.
Where there is nothing to compute, no image or no channel, no back end is asked.
"""

from typing import Any, cast

import torch
from torch import Tensor

from denseup.ops.arguments import (
    check_adjoint,
    check_alike,
    check_fused,
    check_fused_backward,
    check_kernels,
    check_query,
)
from denseup.ops.batching import fold_batch
from denseup.ops.dispatch import get_backend
from denseup.ops.geometry import layout, like_layout
from denseup.ops.reassembly import contractions as composed


@torch.library.custom_op("denseup::reassemble", mutates_args=())
def reassemble(de: Tensor, kernels: Tensor, kernel_size: int, groups: int, backend: str) -> Tensor:
    """`[B, C, h, w]`, `[B, G·K², H, W]` → `[B, C, H, W]`."""
    check_kernels(de, kernels, kernel_size, groups, "kernels")
    if not de.numel():
        return de.new_zeros(*de.shape[:2], *kernels.shape[2:])
    return like_layout(get_backend(backend).reassemble(de, kernels, kernel_size, groups), de)


@torch.library.custom_op("denseup::reassemble_adjoint", mutates_args=())
def adjoint(
    grad: Tensor, kernels: Tensor, kernel_size: int, groups: int, height: int, width: int, backend: str
) -> Tensor:
    """`[B, C, H, W]`, `[B, G·K², H, W]` → `[B, C, height, width]`."""
    check_adjoint(grad, kernels, kernel_size, groups, (height, width))
    if not grad.numel():
        return grad.new_zeros(*grad.shape[:2], height, width)
    return like_layout(get_backend(backend).adjoint(grad, kernels, kernel_size, groups, (height, width)), grad)


@torch.library.custom_op("denseup::local_similarity", mutates_args=())
def similarity(query: Tensor, key: Tensor, kernel_size: int, groups: int, backend: str) -> Tensor:
    """`[B, C, H, W]`, `[B, C, h, w]` → `[B, G·K², H, W]`."""
    check_query(query, key, kernel_size, groups)
    check_alike("key", key, "query", query)
    if not query.numel():
        return query.new_zeros(query.shape[0], groups * kernel_size**2, *query.shape[2:])
    return like_layout(get_backend(backend).similarity(query, key, kernel_size, groups), query)


@torch.library.custom_op("denseup::fused_reassemble", mutates_args=())
def fused(
    de: Tensor, logits: Tensor, en: Tensor | None, gate: Tensor | None, kernel_size: int, groups: int, backend: str
) -> Tensor:
    """Softmax, reassembly and, where there is one, gate: `[B, C, h, w]`, `[B, G·K², H, W]` → `[B, C, H, W]`."""
    check_fused(de, logits, en, gate, kernel_size, groups)
    if not de.numel():
        return de.new_zeros(*de.shape[:2], *logits.shape[2:])
    return like_layout(get_backend(backend).fused(de, logits, en, gate, kernel_size, groups), de)


@torch.library.custom_op("denseup::fused_reassemble_backward", mutates_args=())
def fused_backward(
    grad: Tensor,
    de: Tensor,
    logits: Tensor,
    en: Tensor | None,
    gate: Tensor | None,
    kernel_size: int,
    groups: int,
    backend: str,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Gradients of de, logits, en and gate, each in the layout of its tensor; empty for those that are None."""
    check_fused_backward(grad, de, logits, en, gate, kernel_size, groups)
    grads: composed.Gradients = (torch.zeros_like(de), torch.zeros_like(logits), None, None)
    if de.numel():
        grads = get_backend(backend).fused_backward(grad, de, logits, en, gate, kernel_size, groups)
    elif en is not None and gate is not None:
        grads = (*grads[:2], torch.zeros_like(en), torch.zeros_like(gate))
    out = [
        grad.new_empty(0) if x is None or found is None else like_layout(found, x)
        for x, found in zip((de, logits, en, gate), grads, strict=True)
    ]
    return out[0], out[1], out[2], out[3]


def _empty(like: Tensor, channels: int, height: int, width: int) -> Tensor:
    shape = (like.shape[0], channels, height, width)
    return torch.empty(shape, dtype=like.dtype, device=like.device, memory_format=layout(like))


@reassemble.register_fake
def _(de: Tensor, kernels: Tensor, kernel_size: int, groups: int, backend: str) -> Tensor:
    return _empty(de, de.shape[1], kernels.shape[2], kernels.shape[3])


@adjoint.register_fake
def _(grad: Tensor, kernels: Tensor, kernel_size: int, groups: int, height: int, width: int, backend: str) -> Tensor:
    return _empty(grad, grad.shape[1], height, width)


@similarity.register_fake
def _(query: Tensor, key: Tensor, kernel_size: int, groups: int, backend: str) -> Tensor:
    return _empty(query, groups * kernel_size**2, query.shape[2], query.shape[3])


@fused.register_fake
def _(
    de: Tensor, logits: Tensor, en: Tensor | None, gate: Tensor | None, kernel_size: int, groups: int, backend: str
) -> Tensor:
    return _empty(de, de.shape[1], logits.shape[2], logits.shape[3])


@fused_backward.register_fake
def _(
    grad: Tensor,
    de: Tensor,
    logits: Tensor,
    en: Tensor | None,
    gate: Tensor | None,
    kernel_size: int,
    groups: int,
    backend: str,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    out = [grad.new_empty(0) if x is None else _empty(x, *x.shape[1:]) for x in (de, logits, en, gate)]
    return out[0], out[1], out[2], out[3]


def _save(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    ctx.save_for_backward(*inputs[:2])
    ctx.kernel_size, ctx.groups, ctx.backend = inputs[2], inputs[3], inputs[-1]


def _reassemble_backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
    de, kernels = ctx.saved_tensors
    common = (ctx.kernel_size, ctx.groups)
    needs_de, needs_kernels, *_ = ctx.needs_input_grad
    grad_de = adjoint(grad, kernels, *common, de.shape[2], de.shape[3], ctx.backend) if needs_de else None
    grad_kernels = similarity(grad, de, *common, ctx.backend) if needs_kernels else None
    return grad_de, grad_kernels, None, None, None


def _adjoint_backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
    high, kernels = ctx.saved_tensors
    common = (ctx.kernel_size, ctx.groups, ctx.backend)
    needs_high, needs_kernels, *_ = ctx.needs_input_grad
    grad_high = reassemble(grad, kernels, *common) if needs_high else None
    grad_kernels = similarity(high, grad, *common) if needs_kernels else None
    return grad_high, grad_kernels, None, None, None, None, None


def _similarity_backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
    query, key = ctx.saved_tensors
    common = (ctx.kernel_size, ctx.groups)
    needs_query, needs_key, *_ = ctx.needs_input_grad
    grad_query = reassemble(key, grad, *common, ctx.backend) if needs_query else None
    grad_key = adjoint(query, grad, *common, key.shape[2], key.shape[3], ctx.backend) if needs_key else None
    return grad_query, grad_key, None, None, None


def _save_fused(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
    *tensors, ctx.kernel_size, ctx.groups, ctx.backend = inputs
    ctx.save_for_backward(*tensors)


def _fused_backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
    tensors = ctx.saved_tensors
    grads = fused_backward(grad, *tensors, ctx.kernel_size, ctx.groups, ctx.backend)
    found = (None if x is None else value for x, value in zip(tensors, grads, strict=True))
    return *found, None, None, None


def _fused_double_backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
    """Differentiate the gradient made of contractions, which are differentiable themselves."""
    leaves = [None if x is None else x.detach().requires_grad_() for x in ctx.saved_tensors]
    there = [x for x in leaves if x is not None]
    with torch.enable_grad():
        first = composed.fused_backward(_Contractions(ctx.backend), *leaves, ctx.kernel_size, ctx.groups)  # type: ignore[call-arg,arg-type]
        pairs = [(y, g) for y, g in zip(first, grads, strict=True) if y is not None and g is not None]
        outputs, weights = ([pair[side] for pair in pairs] for side in (0, 1))
        found = iter(torch.autograd.grad(outputs, there, weights, allow_unused=True))
    return *(None if x is None else next(found) for x in leaves), None, None, None


class _Contractions:
    """The operators above, of one back end, as `ops.composed` wants them."""

    def __init__(self, backend: str) -> None:
        self.backend = backend

    def reassemble(self, de: Tensor, kernels: Tensor, kernel_size: int, groups: int) -> Tensor:
        return cast(Tensor, reassemble(de, kernels, kernel_size, groups, self.backend))

    def adjoint(self, grad: Tensor, kernels: Tensor, kernel_size: int, groups: int, size: tuple[int, int]) -> Tensor:
        return cast(Tensor, adjoint(grad, kernels, kernel_size, groups, *size, self.backend))

    def similarity(self, query: Tensor, key: Tensor, kernel_size: int, groups: int) -> Tensor:
        return cast(Tensor, similarity(query, key, kernel_size, groups, self.backend))


reassemble.register_autograd(_reassemble_backward, setup_context=_save)
adjoint.register_autograd(_adjoint_backward, setup_context=_save)
similarity.register_autograd(_similarity_backward, setup_context=_save)
fused.register_autograd(_fused_backward, setup_context=_save_fused)
fused_backward.register_autograd(_fused_double_backward, setup_context=_save_fused)


for _operator in (reassemble, adjoint, similarity, fused, fused_backward):
    _operator.register_vmap(fold_batch(_operator))
