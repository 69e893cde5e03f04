"""K×K windows of a map, and sums over them, in torch's differentiable operators.

Nothing is written in place, which exporters refuse. Windows are around given rows and columns of the map, so that
reassembly and down-sampling differ in nothing but these.
"""

import functools
import math
from collections.abc import Iterator

import torch
from torch import Tensor
from torch.nn import functional as F

from denseup.ops.arithmetic import accumulate, by_group
from denseup.ops.geometry import Size


def windows(x: Tensor, kernel_size: int, groups: int, rows: Tensor, columns: Tensor) -> Iterator[Tensor]:
    """Windows around `rows` `[H]` and `columns` `[W]` of `x`: for each of K rows of taps `[B, G, C/G, H, K, W]`."""
    before = (kernel_size - 1) // 2
    padded = F.pad(accumulate(x), (before, kernel_size - 1 - before) * 2)
    taps = torch.arange(kernel_size, device=x.device)[:, None]
    beside = padded.index_select(3, (taps + columns).flatten())
    for i in range(kernel_size):
        band = by_group(beside.index_select(2, rows + i), groups)
        yield band.reshape(*band.shape[:4], kernel_size, columns.shape[0])


def contract(of_map: Iterator[Tensor], kernels: Tensor, groups: int) -> Tensor:
    """Σ over the taps of tap times kernel: `[B, C, H, W]`."""
    of_groups = by_group(accumulate(kernels), groups).unsqueeze(2)  # [B, G, 1, K², H, W]
    kernel_size = math.isqrt(of_groups.shape[3])
    rows = of_groups.transpose(3, 4).chunk(kernel_size, 4)  # K of [B, G, 1, H, K, W]
    products = ((row * band).sum(4) for row, band in zip(rows, of_map, strict=True))
    total: Tensor = functools.reduce(torch.add, products)
    return total.flatten(1, 2)


def correlate(x: Tensor, of_map: Iterator[Tensor], groups: int) -> Tensor:
    """Inner products of `x` `[B, C, H, W]` with the taps of windows: `[B, G·K², H, W]`."""
    of_groups = by_group(accumulate(x), groups).unsqueeze(4)  # [B, G, C/G, H, 1, W]
    products = [(of_groups * band).sum(2) for band in of_map]
    return torch.cat([row.transpose(2, 3) for row in products], 2).flatten(1, 2).to(x.dtype)


def spread(
    x: Tensor, kernels: Tensor, kernel_size: int, groups: int, rows: Tensor, columns: Tensor, size: Size
) -> Tensor:
    """The adjoint of `contract` in what the windows were cut from: `[B, C, H, W]` → `[B, C, *size]`."""
    before = (kernel_size - 1) // 2
    height, width = (length + kernel_size - 1 for length in size)
    high = by_group(accumulate(x), groups).unsqueeze(4)  # [B, G, C/G, H, 1, W]
    taps = by_group(accumulate(kernels), groups).unsqueeze(2).transpose(3, 4).chunk(kernel_size, 4)
    beside = (torch.arange(kernel_size, device=x.device)[:, None] + columns).flatten()
    total = high.new_zeros(*x.shape[:2], height, width)
    for i, row in enumerate(taps):  # [B, G, 1, H, K, W]
        products = (high * row).flatten(4, 5).flatten(1, 2)
        in_columns = products.new_zeros(*products.shape[:3], width).index_add(3, beside, products)
        total = total.index_add(2, rows + i, in_columns)
    return total[..., before : before + size[0], before : before + size[1]].to(x.dtype)
