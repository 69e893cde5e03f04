"""FLOP formulas of the operators of `ops.library`, for torch's FLOP counter."""

from typing import Any

import torch
from torch.utils.flop_counter import register_flop_formula

from denseup.ops.encoding import operators as encoding  # noqa: F401  the formulas are registered for operators that must exist
from denseup.ops.pointwise import operators as pointwise  # noqa: F401  the formulas are registered for operators that must exist
from denseup.ops.reassembly import operators as library  # noqa: F401  the formulas are registered for operators that must exist


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


@register_flop_formula(torch.ops.denseup.fused_reassemble)
def _fused_flops(
    de_shape: Any, logits_shape: Any, en_shape: Any, gate_shape: Any, kernel_size: int, *args: Any, **kwargs: Any
) -> int:
    """The contraction; softmax and gate are elementwise, which torch does not count."""
    return _flops(de_shape[1], logits_shape, kernel_size)


@register_flop_formula(torch.ops.denseup.fused_reassemble_backward)
def _fused_backward_flops(
    grad_shape: Any,
    de_shape: Any,
    logits_shape: Any,
    en_shape: Any,
    gate_shape: Any,
    kernel_size: int,
    *args: Any,
    **kwargs: Any,
) -> int:
    """A similarity and an adjoint."""
    return 2 * _flops(grad_shape[1], logits_shape, kernel_size)


def _encoding_flops(
    high_shape: tuple[int, ...] | None, low_shape: tuple[int, ...] | None, weight_shape: tuple[int, ...]
) -> int:
    """Of convolutions by their definition, whatever way they are computed."""
    outputs, channels, *taps = weight_shape
    pixels = sum(shape[0] * shape[2] * shape[3] for shape in (high_shape, low_shape) if shape is not None)
    return 2 * outputs * channels * taps[0] * taps[1] * pixels


@register_flop_formula(torch.ops.denseup.encode_content)
def _encode_flops(high_shape: Any, low_shape: Any, weight_shape: Any, *args: Any, **kwargs: Any) -> int:
    return _encoding_flops(high_shape, low_shape, weight_shape)


@register_flop_formula(torch.ops.denseup.encode_content_backward)
def _encode_backward_flops(
    grad_shape: Any, high_shape: Any, low_shape: Any, weight_shape: Any, needs: Any, *args: Any, **kwargs: Any
) -> int:
    """One convolution for the gradient of each map, and one with each map for that of the weights."""
    needs_high, needs_low, needs_weight, _ = needs
    of_maps = (high_shape if needs_high else None, low_shape if needs_low else None)
    total = _encoding_flops(*of_maps, weight_shape) if any(of_maps) else 0
    return total + (_encoding_flops(high_shape, low_shape, weight_shape) if needs_weight else 0)


def _pointwise_flops(map_shape: tuple[int, ...], outputs: int) -> int:
    batch, channels, height, width = map_shape
    return 2 * outputs * channels * batch * height * width


@register_flop_formula(torch.ops.denseup.pointwise)
def _convolve_flops(x_shape: Any, weight_shape: Any, *args: Any, **kwargs: Any) -> int:
    return _pointwise_flops(x_shape, weight_shape[0])


@register_flop_formula(torch.ops.denseup.pointwise_backward)
def _convolve_backward_flops(
    grad_shape: Any, x_shape: Any, weight_shape: Any, to_shape: Any, parameters: Any, *args: Any, **kwargs: Any
) -> int:
    """As many again for the gradient of the map, and for that of the weights."""
    return _pointwise_flops(x_shape, weight_shape[0]) * ((to_shape is not None) + bool(parameters))
