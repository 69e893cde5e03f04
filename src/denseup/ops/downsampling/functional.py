"""Public function: check the arguments, call the operator."""

from typing import Literal, cast

import torch
from torch import Tensor

from denseup.ops.arguments import one_of, whole_number
from denseup.ops.arithmetic import softmax_by_group
from denseup.ops.downsampling.arguments import check_downsampling
from denseup.ops.downsampling.operators import downsample


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
    if not torch.compiler.is_compiling() and all(type(length) is int for length in features.shape[2:]):
        # from there on there is one window, the first pixel's: the phases of a larger factor would take memory alone
        scale_factor = min(scale_factor, max(features.shape[2:]))
    one_of("normalize", normalize, (None, "softmax"))
    if normalize == "softmax":
        kernels = softmax_by_group(kernels, groups)
    return cast(Tensor, downsample(features, kernels.to(features.dtype), kernel_size, scale_factor, groups))
