"""Down-sampling and its two gradients in plain torch, on any device, for any floating dtype.

The map is laid out by phase, `[B, G, C/G, s, s, h, w]`: then a tap of the window is one view of it, read in order, and
no k²-fold copy is ever made. Half-precision inputs are accumulated in float32.
"""

from collections.abc import Iterator

import torch
from torch import Tensor
from torch.nn import functional as F

from denseup.ops.arithmetic import accumulate, by_group
from denseup.ops.geometry import Size, size_of


def downsample(features: Tensor, kernels: Tensor, kernel_size: int, scale_factor: int, groups: int) -> Tensor:
    """`[B, C, H, W]`, `[B, G·k², h, w]` → `[B, C, h, w]`."""
    size = size_of(kernels)
    phases = _to_phases(by_group(accumulate(features), groups), kernel_size, scale_factor, size)
    taps = by_group(accumulate(kernels), groups)
    out = phases.new_zeros(features.shape[0], groups, features.shape[1] // groups, *size)
    for tap, window in _windows(phases, kernel_size, scale_factor, size):
        out.addcmul_(taps[:, :, tap, None], window)
    return out.flatten(1, 2).to(features.dtype)


def adjoint(
    grad: Tensor, kernels: Tensor, kernel_size: int, scale_factor: int, groups: int, height: int, width: int
) -> Tensor:
    """Gradient of the features: `[B, C, h, w]`, `[B, G·k², h, w]` → `[B, C, height, width]`."""
    size = size_of(kernels)
    low, taps = by_group(accumulate(grad), groups), by_group(accumulate(kernels), groups)
    extent = [length + (kernel_size - 1) // scale_factor for length in size]
    phases = low.new_zeros(*low.shape[:3], scale_factor, scale_factor, *extent)
    for tap, window in _windows(phases, kernel_size, scale_factor, size):
        window.addcmul_(taps[:, :, tap, None], low)
    return _from_phases(phases, kernel_size, (height, width)).flatten(1, 2).to(grad.dtype)


def similarity(grad: Tensor, features: Tensor, kernel_size: int, scale_factor: int, groups: int) -> Tensor:
    """Gradient of the kernels: `[B, C, h, w]`, `[B, C, H, W]` → `[B, G·k², h, w]`."""
    size, low = size_of(grad), by_group(accumulate(grad), groups)
    phases = _to_phases(by_group(accumulate(features), groups), kernel_size, scale_factor, size)
    out = low.new_empty(grad.shape[0], groups, kernel_size**2, *size)
    for tap, window in _windows(phases, kernel_size, scale_factor, size):
        torch.sum(low * window, 2, out=out[:, :, tap])
    return out.flatten(1, 2).to(grad.dtype)


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
