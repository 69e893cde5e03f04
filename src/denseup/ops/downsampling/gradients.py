"""How autograd differentiates down-sampling: each of its three contractions by the other two."""

from typing import Any, cast

import torch
from torch import Tensor

_OURS = torch.ops.denseup


def save(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    """Both maps."""
    ctx.save_for_backward(*inputs[:2])
    ctx.common = inputs[2:5]


def of_downsample(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
    """Of features and kernels."""
    features, kernels = ctx.saved_tensors
    needs_features, needs_kernels, *_ = ctx.needs_input_grad
    grad_features = _adjoint(ctx, grad, kernels, features) if needs_features else None
    grad_kernels = _similarity(ctx, grad, features) if needs_kernels else None
    return grad_features, grad_kernels, None, None, None


def of_adjoint(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
    """Of the low-resolution map and kernels."""
    low, kernels = ctx.saved_tensors
    needs_low, needs_kernels, *_ = ctx.needs_input_grad
    grad_low = _downsample(ctx, grad, kernels) if needs_low else None
    grad_kernels = _similarity(ctx, low, grad) if needs_kernels else None
    return grad_low, grad_kernels, None, None, None, None, None


def of_similarity(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
    """Of the low-resolution map and features."""
    low, features = ctx.saved_tensors
    needs_low, needs_features, *_ = ctx.needs_input_grad
    grad_low = _downsample(ctx, features, grad) if needs_low else None
    grad_features = _adjoint(ctx, low, grad, features) if needs_features else None
    return grad_low, grad_features, None, None, None


def _downsample(ctx: Any, features: Tensor, kernels: Tensor) -> Tensor:
    return cast(Tensor, _OURS.bidownsample.default(features, kernels, *ctx.common))


def _adjoint(ctx: Any, grad: Tensor, kernels: Tensor, like: Tensor) -> Tensor:
    return cast(Tensor, _OURS.bidownsample_adjoint.default(grad, kernels, *ctx.common, *like.shape[2:]))


def _similarity(ctx: Any, grad: Tensor, features: Tensor) -> Tensor:
    return cast(Tensor, _OURS.bidownsample_similarity.default(grad, features, *ctx.common))
