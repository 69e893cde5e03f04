"""The operators of down-sampling in torch's own: for exporters, `torch.func` and forward mode (`ops.registration`)."""

from collections.abc import Iterator

import torch
from torch import Tensor

from denseup.ops.geometry import size_of
from denseup.ops.windows import contract, correlate, spread, windows


def downsample(features: Tensor, kernels: Tensor, kernel_size: int, scale_factor: int, groups: int) -> Tensor:
    """`[B, C, H, W]`, `[B, G·k², h, w]` → `[B, C, h, w]`."""
    return contract(_lowered(features, kernels, kernel_size, scale_factor, groups), kernels, groups).to(features.dtype)


def adjoint(
    grad: Tensor, kernels: Tensor, kernel_size: int, scale_factor: int, groups: int, height: int, width: int
) -> Tensor:
    """`[B, C, h, w]`, `[B, G·k², h, w]` → `[B, C, height, width]`."""
    rows, columns = (torch.arange(n, device=grad.device) * scale_factor for n in size_of(grad))
    return spread(grad, kernels, kernel_size, groups, rows, columns, (height, width))


def similarity(grad: Tensor, features: Tensor, kernel_size: int, scale_factor: int, groups: int) -> Tensor:
    """`[B, C, h, w]`, `[B, C, H, W]` → `[B, G·k², h, w]`."""
    return correlate(grad, _lowered(features, grad, kernel_size, scale_factor, groups), groups)


def _lowered(high: Tensor, low: Tensor, kernel_size: int, scale_factor: int, groups: int) -> Iterator[Tensor]:
    """The windows that the pixels of `low` are sums of."""
    rows, columns = (torch.arange(n, device=high.device) * scale_factor for n in size_of(low))
    return windows(high, kernel_size, groups, rows, columns)
