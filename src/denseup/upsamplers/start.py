"""How an operator starts: as its authors have it, or neutrally, for comparisons that short runs can answer.

A short run measures the start as much as the operator: Xavier logits make nearly one-hot kernels, and a half-open gate
mixes features that nothing has aligned yet. With start="neutral" every operator is at first, as near as its form
allows, the same plain interpolation, bilinear, and gates are nearly closed:

    one kernel for each sub-position      (1 - u)·bilinear + u·uniform                     CARAFE
    one kernel for all sub-positions      their mean, (1/8, 3/4, 1/8) each way at ×2       SemiShift, FADE, FADE-Lite
    one kernel behind nearest neighbour   bilinear and uniform, (1/4, 1/2, 1/4) at ×2      FreqFusion, semi_conv=false
    kernels of similarity, or of q·P      uniform: they have no constant term              SAPA, A2U
    an index map                          half of nearest-neighbour interpolation          IndexNet
    weights of a linear map               bilinear                                         deconv, pixel shuffle
    offsets                               bilinear, as published                           DySample

What depends on content is small but not zero, so that every parameter has a gradient from the first step or the second.
"""

from typing import Literal, cast, get_args

import torch
from torch import Tensor, nn

from denseup.ops.arguments import one_of

Start = Literal["published", "neutral"]
STARTS = get_args(Start)

UNIFORM_SHARE = 0.1
"""u, the uniform kernel's share in a neutral softmax kernel; 1 starts from plain averaging.

A softmax gives no zeros, and the gradient of a logit is proportional to its weight: the smaller u is, the longer it
takes to learn to use the taps that bilinear interpolation leaves empty. The output is off by u times the difference of
bilinear interpolation from the mean over the window."""

CONTENT_STD = 0.001
"""Deviation of the weights that make kernels or gates of features."""

CLOSED_GATE = -4.0
"""Bias of a nearly closed gate: sigmoid(-4) = 0.018, with a slope as large."""


def check_start(start: str) -> Start:
    """`start` itself; ValueError if it is none."""
    one_of("start", start, STARTS)
    return cast(Start, start)


def bilinear_kernels(kernel_size: int, factor: int) -> Tensor:
    """Kernels of bilinear interpolation at the sub-positions of a source pixel, by rows: `[factor², K, K]`, K odd.

    K = 1 has no neighbours: nearest-neighbour interpolation.
    """
    position = (torch.arange(factor, dtype=torch.float32) + 0.5) / factor - 0.5
    taps = torch.arange(kernel_size) - kernel_size // 2
    weights = (1 - (taps - position[:, None]).abs()).clamp(min=0)
    weights = weights / weights.sum(1, keepdim=True)
    return torch.einsum("yi,xj->yxij", weights, weights).flatten(0, 1)


def neutral_kernels(kernel_size: int, factor: int) -> Tensor:
    """What softmax kernels start as where each sub-position has its own: `[factor², K²]`, without zeros.

    The mean over the sub-positions is what they start as where all have the same.
    """
    bilinear = bilinear_kernels(kernel_size, factor).flatten(1)
    return (1 - UNIFORM_SHARE) * bilinear + UNIFORM_SHARE / kernel_size**2


def neutral_kernel_of_raised(kernel_size: int, factor: int) -> Tensor:
    """What softmax kernels start as that filter a map raised by nearest neighbour: `[K²]`, without zeros.

    Bilinear interpolation is the mean over `factor` such pixels around each, over one more with half of either end
    where the factor is even; a kernel that is smaller has what it can of it.
    """
    taps = torch.arange(kernel_size) - kernel_size // 2
    weights = ((factor + 1) / 2 - taps.abs()).clamp(0, 1)
    weights = weights / weights.sum()
    return (1 - UNIFORM_SHARE) * weights.outer(weights).flatten() + UNIFORM_SHARE / kernel_size**2


def quieten(layer: nn.Module, bias: float = 0.0) -> None:
    """Let a convolution or a projection answer nearly the same to any feature: small weights, a constant bias."""
    nn.init.normal_(layer.get_parameter("weight"), std=CONTENT_STD)
    if getattr(layer, "bias", None) is not None:
        nn.init.constant_(layer.get_parameter("bias"), bias)
