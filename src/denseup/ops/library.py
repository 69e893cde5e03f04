"""The operators as torch sees them: `torch.library` operators with fake kernels, autograd rules and FLOP formulas.

Each of the three contractions of `ops.reference` is differentiated by the other two, so gradients of any order exist.
Nothing but the inputs is kept for backward.
"""

from typing import Any

import torch
from torch import Tensor
from torch.utils.flop_counter import register_flop_formula

from denseup.ops.backends import get_backend


@torch.library.custom_op("denseup::reassemble", mutates_args=())
def reassemble(de: Tensor, kernels: Tensor, kernel_size: int, groups: int, backend: str) -> Tensor:
    """`[B, C, h, w]`, `[B, G·K², H, W]` → `[B, C, H, W]`."""
    return get_backend(backend).reassemble(de, kernels, kernel_size, groups)


@torch.library.custom_op("denseup::reassemble_adjoint", mutates_args=())
def adjoint(
    grad: Tensor, kernels: Tensor, kernel_size: int, groups: int, height: int, width: int, backend: str
) -> Tensor:
    """`[B, C, H, W]`, `[B, G·K², H, W]` → `[B, C, height, width]`."""
    return get_backend(backend).adjoint(grad, kernels, kernel_size, groups, (height, width))


@torch.library.custom_op("denseup::local_similarity", mutates_args=())
def similarity(query: Tensor, key: Tensor, kernel_size: int, groups: int, backend: str) -> Tensor:
    """`[B, C, H, W]`, `[B, C, h, w]` → `[B, G·K², H, W]`."""
    return get_backend(backend).similarity(query, key, kernel_size, groups)


@reassemble.register_fake
def _(de: Tensor, kernels: Tensor, kernel_size: int, groups: int, backend: str) -> Tensor:
    return de.new_empty(de.shape[0], de.shape[1], kernels.shape[2], kernels.shape[3])


@adjoint.register_fake
def _(grad: Tensor, kernels: Tensor, kernel_size: int, groups: int, height: int, width: int, backend: str) -> Tensor:
    return grad.new_empty(grad.shape[0], grad.shape[1], height, width)


@similarity.register_fake
def _(query: Tensor, key: Tensor, kernel_size: int, groups: int, backend: str) -> Tensor:
    return query.new_empty(query.shape[0], groups * kernel_size**2, query.shape[2], query.shape[3])


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


reassemble.register_autograd(_reassemble_backward, setup_context=_save)
adjoint.register_autograd(_adjoint_backward, setup_context=_save)
similarity.register_autograd(_similarity_backward, setup_context=_save)


def _flops(channels: int, kernels_shape: tuple[int, ...], kernel_size: int) -> int:
    """torch counts a multiply-add as 2; every contraction does K² of them for each output pixel and channel."""
    batch, _, height, width = kernels_shape
    return 2 * kernel_size**2 * channels * batch * height * width


@register_flop_formula(torch.ops.denseup.reassemble)
def _reassemble_flops(
    de_shape: Any, kernels_shape: Any, kernel_size: int, *args: Any, out_shape: Any = None, **kwargs: Any
) -> int:
    return _flops(de_shape[1], kernels_shape, kernel_size)


@register_flop_formula(torch.ops.denseup.reassemble_adjoint)
def _adjoint_flops(
    grad_shape: Any, kernels_shape: Any, kernel_size: int, *args: Any, out_shape: Any = None, **kwargs: Any
) -> int:
    return _flops(grad_shape[1], kernels_shape, kernel_size)


@register_flop_formula(torch.ops.denseup.local_similarity)
def _similarity_flops(
    query_shape: Any, key_shape: Any, kernel_size: int, *args: Any, out_shape: Any = None, **kwargs: Any
) -> int:
    return _flops(query_shape[1], query_shape, kernel_size)
