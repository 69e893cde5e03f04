"""Content-aware down-sampling: every output pixel is a weighted sum of a k×k window of the high-resolution map.

A2U's counterpart of reassembly (Dai et al., CVPR 2021, arXiv:2011.14288). Like `ops.reference` and `ops.library` it is
one trilinear form, whose three contractions differentiate each other, so gradients of any order exist and nothing but
the inputs is kept for backward. There is one implementation: it runs once for each encoder stage, far from being the
costly part of any network.

The map is laid out by phase, `[B, G, C/G, s, s, h, w]`: then a tap of the window is one view of it, read in order, and
no k²-fold copy is ever made. Half-precision inputs are accumulated in float32.
"""

from collections.abc import Iterator
from typing import Any, Literal

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.utils.flop_counter import register_flop_formula

from denseup.ops.arguments import (
    check_downsampling,
    check_downsampling_adjoint,
    check_downsampling_similarity,
    whole_number,
)
from denseup.ops.batching import fold_batch
from denseup.ops.geometry import Size, size_of
from denseup.ops.reassembly import decomposition as decompositions
from denseup.ops.reassembly.contractions import accumulate, by_group
from denseup.ops.transforms import register_composed


def bidownsample(
    features: Tensor,
    kernels: Tensor,
    kernel_size: int,
    scale_factor: int = 2,
    groups: int = 1,
    *,
    normalize: Literal["softmax"] | None = None,
) -> Tensor:
    """Down-sample by weighted sums.

    out[c, p, q] = Σ_{i,j<k} features[c, p·s - r + i, q·s - r + j] · kernels[(g·k + i)·k + j, p, q], r = (k - 1) // 2,
    g = c // (C / G), zeros outside the map. For even k the window is p·s - (k-2)/2 … p·s + k/2, as in A2U's kernels.

    Args:
        features: high-resolution map `[B, C, H, W]`.
        kernels: weights `[B, G·k², ⌈H/s⌉, ⌈W/s⌉]`, group-major; cast to the dtype of `features`.
        kernel_size: k, even or odd.
        scale_factor: s.
        groups: G, a divisor of C.
        normalize: "softmax" normalises the k² weights of each pixel and group first, in at least float32.

    Returns:
        `[B, C, ⌈H/s⌉, ⌈W/s⌉]` with the dtype of `features`.

    Raises:
        ValueError: an argument has a wrong shape or value; the message names it.
    """
    kernel_size, scale_factor, groups = (
        whole_number(name, value)
        for name, value in (("kernel_size", kernel_size), ("scale_factor", scale_factor), ("groups", groups))
    )
    check_downsampling(features, kernels, kernel_size, scale_factor, groups, whole=True)
    if normalize == "softmax":
        dtype = torch.promote_types(kernels.dtype, torch.float32)
        kernels = by_group(kernels, groups).softmax(2, dtype=dtype).flatten(1, 2)
    elif normalize is not None:
        raise ValueError(f"normalize is {normalize!r}, valid: None, 'softmax'")
    operator = decompositions.bidownsample if decompositions.are_wanted() else _bidownsample
    out: Tensor = operator(features, kernels.to(features.dtype), kernel_size, scale_factor, groups)
    return out


@torch.library.custom_op("denseup::bidownsample", mutates_args=())
def _bidownsample(features: Tensor, kernels: Tensor, kernel_size: int, scale_factor: int, groups: int) -> Tensor:
    """`[B, C, H, W]`, `[B, G·k², h, w]` → `[B, C, h, w]`."""
    check_downsampling(features, kernels, kernel_size, scale_factor, groups)
    size = size_of(kernels)
    phases = _to_phases(by_group(accumulate(features), groups), kernel_size, scale_factor, size)
    taps = by_group(accumulate(kernels), groups)
    out = phases.new_zeros(features.shape[0], groups, features.shape[1] // groups, *size)
    for tap, window in _windows(phases, kernel_size, scale_factor, size):
        out.addcmul_(taps[:, :, tap, None], window)
    return out.flatten(1, 2).to(features.dtype)


@torch.library.custom_op("denseup::bidownsample_adjoint", mutates_args=())
def _adjoint(
    grad: Tensor, kernels: Tensor, kernel_size: int, scale_factor: int, groups: int, height: int, width: int
) -> Tensor:
    """Gradient of the features: `[B, C, h, w]`, `[B, G·k², h, w]` → `[B, C, height, width]`."""
    check_downsampling_adjoint(grad, kernels, kernel_size, scale_factor, groups, height, width)
    size = size_of(kernels)
    low, taps = by_group(accumulate(grad), groups), by_group(accumulate(kernels), groups)
    extent = [length + (kernel_size - 1) // scale_factor for length in size]
    phases = low.new_zeros(*low.shape[:3], scale_factor, scale_factor, *extent)
    for tap, window in _windows(phases, kernel_size, scale_factor, size):
        window.addcmul_(taps[:, :, tap, None], low)
    return _from_phases(phases, kernel_size, (height, width)).flatten(1, 2).to(grad.dtype)


@torch.library.custom_op("denseup::bidownsample_similarity", mutates_args=())
def _similarity(grad: Tensor, features: Tensor, kernel_size: int, scale_factor: int, groups: int) -> Tensor:
    """Gradient of the kernels: `[B, C, h, w]`, `[B, C, H, W]` → `[B, G·k², h, w]`."""
    check_downsampling_similarity(grad, features, kernel_size, scale_factor, groups)
    size, low = size_of(grad), by_group(accumulate(grad), groups)
    phases = _to_phases(by_group(accumulate(features), groups), kernel_size, scale_factor, size)
    out = low.new_empty(grad.shape[0], groups, kernel_size**2, *size)
    for tap, window in _windows(phases, kernel_size, scale_factor, size):
        torch.sum(low * window, 2, out=out[:, :, tap])
    return out.flatten(1, 2).to(grad.dtype)


@_bidownsample.register_fake
def _(features: Tensor, kernels: Tensor, kernel_size: int, scale_factor: int, groups: int) -> Tensor:
    return features.new_empty(*features.shape[:2], *kernels.shape[2:])


@_adjoint.register_fake
def _(
    grad: Tensor, kernels: Tensor, kernel_size: int, scale_factor: int, groups: int, height: int, width: int
) -> Tensor:
    return grad.new_empty(*grad.shape[:2], height, width)


@_similarity.register_fake
def _(grad: Tensor, features: Tensor, kernel_size: int, scale_factor: int, groups: int) -> Tensor:
    return grad.new_empty(grad.shape[0], groups * kernel_size**2, *grad.shape[2:])


def _save(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    ctx.save_for_backward(*inputs[:2])
    ctx.common = inputs[2:5]


def _forward_backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
    features, kernels = ctx.saved_tensors
    needs_features, needs_kernels, *_ = ctx.needs_input_grad
    grad_features = _adjoint(grad, kernels, *ctx.common, *features.shape[2:]) if needs_features else None
    grad_kernels = _similarity(grad, features, *ctx.common) if needs_kernels else None
    return grad_features, grad_kernels, None, None, None


def _adjoint_backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
    low, kernels = ctx.saved_tensors
    needs_low, needs_kernels, *_ = ctx.needs_input_grad
    grad_low = _bidownsample(grad, kernels, *ctx.common) if needs_low else None
    grad_kernels = _similarity(low, grad, *ctx.common) if needs_kernels else None
    return grad_low, grad_kernels, None, None, None, None, None


def _similarity_backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
    low, features = ctx.saved_tensors
    needs_low, needs_features, *_ = ctx.needs_input_grad
    grad_low = _bidownsample(features, grad, *ctx.common) if needs_low else None
    grad_features = _adjoint(low, grad, *ctx.common, *features.shape[2:]) if needs_features else None
    return grad_low, grad_features, None, None, None


_bidownsample.register_autograd(_forward_backward, setup_context=_save)
_adjoint.register_autograd(_adjoint_backward, setup_context=_save)
_similarity.register_autograd(_similarity_backward, setup_context=_save)


def _composed(features: Tensor, kernels: Tensor, kernel_size: int, scale_factor: int, groups: int) -> Tensor:
    check_downsampling(features, kernels, kernel_size, scale_factor, groups)
    return decompositions.bidownsample(features, kernels, kernel_size, scale_factor, groups)


def _composed_adjoint(
    grad: Tensor, kernels: Tensor, kernel_size: int, scale_factor: int, groups: int, height: int, width: int
) -> Tensor:
    check_downsampling_adjoint(grad, kernels, kernel_size, scale_factor, groups, height, width)
    return decompositions.bidownsample_adjoint(grad, kernels, kernel_size, scale_factor, groups, height, width)


def _composed_similarity(grad: Tensor, features: Tensor, kernel_size: int, scale_factor: int, groups: int) -> Tensor:
    check_downsampling_similarity(grad, features, kernel_size, scale_factor, groups)
    return decompositions.bidownsample_similarity(grad, features, kernel_size, scale_factor, groups)


def _flops(low_shape: Any, channels: int, kernel_size: int) -> int:
    """torch counts a multiply-add as 2; every contraction does k² of them for each low-resolution pixel and channel."""
    return int(2 * kernel_size**2 * channels * low_shape[0] * low_shape[2] * low_shape[3])


@register_flop_formula(torch.ops.denseup.bidownsample)
def _bidownsample_flops(features_shape: Any, kernels_shape: Any, kernel_size: int, *args: Any, **kwargs: Any) -> int:
    return _flops(kernels_shape, features_shape[1], kernel_size)


@register_flop_formula([torch.ops.denseup.bidownsample_adjoint, torch.ops.denseup.bidownsample_similarity])
def _gradient_flops(grad_shape: Any, other_shape: Any, kernel_size: int, *args: Any, **kwargs: Any) -> int:
    return _flops(grad_shape, grad_shape[1], kernel_size)


def _windows(phases: Tensor, kernel_size: int, scale_factor: int, size: Size) -> Iterator[tuple[int, Tensor]]:
    """The k² views of the phases, each with its tap index, row by row."""
    for tap in range(kernel_size**2):
        (row, i), (column, j) = (divmod(index, scale_factor) for index in divmod(tap, kernel_size))
        yield tap, phases[:, :, :, i, j, row : row + size[0], column : column + size[1]]


def _to_phases(x: Tensor, kernel_size: int, scale_factor: int, size: Size) -> Tensor:
    """`[B, G, C/G, H, W]` → `[B, G, C/G, s, s, h + (k-1)//s, w + (k-1)//s]`, zeros around the map."""
    before = (kernel_size - 1) // 2
    height, width = (length + (kernel_size - 1) // scale_factor for length in size)
    after = (height * scale_factor - before - x.shape[3], width * scale_factor - before - x.shape[4])
    x = F.pad(x, (before, after[1], before, after[0]))  # `after` may be negative: the last rows are in no window
    x = x.reshape(*x.shape[:3], height, scale_factor, width, scale_factor)
    return x.permute(0, 1, 2, 4, 6, 3, 5).contiguous()


def _from_phases(phases: Tensor, kernel_size: int, output_size: Size) -> Tensor:
    """The inverse of `_to_phases`."""
    before = (kernel_size - 1) // 2
    x = phases.permute(0, 1, 2, 5, 3, 6, 4).flatten(5, 6).flatten(3, 4)
    after = (output_size[0] + before - x.shape[3], output_size[1] + before - x.shape[4])
    return F.pad(x, (-before, after[1], -before, after[0])).contiguous()


register_composed(_bidownsample, _composed)
register_composed(_adjoint, _composed_adjoint)
register_composed(_similarity, _composed_similarity)
for _operator in (_bidownsample, _adjoint, _similarity):
    _operator.register_vmap(fold_batch(_operator))
