"""The operators in torch's own, for exporters that know no others and for `torch.func`.

`torch.onnx.export(…, dynamo=True)` traces these in their place. They are not registered with torch as decompositions:
where sizes are symbols it would ask them, not the fake kernels, for the layout of results, and inductor refuses to call
operators that have one. Nothing is written in place, which exporters refuse. They also stand in where the operators
cannot be differentiated as they are (`ops.transforms`); for that the gradients are here too.
"""

import functools
import math
import sys
from collections.abc import Iterator
from typing import cast

import torch
from torch import Tensor
from torch.nn import functional as F

from denseup.ops.geometry import Size, size_of, source_index
from denseup.ops.reassembly import contractions as composed
from denseup.ops.reassembly.contractions import accumulate, by_group


def are_wanted() -> bool:
    """Whether `torch.onnx.export(…, dynamo=True)` is at work."""
    return torch.compiler.is_exporting() and torch.onnx.is_in_onnx_export()


def reassemble(de: Tensor, kernels: Tensor, kernel_size: int, groups: int, backend: str = "") -> Tensor:
    """`[B, C, h, w]`, `[B, G·K², H, W]` → `[B, C, H, W]`."""
    return _contract(_raised(de, kernels, kernel_size, groups), kernels, groups).to(de.dtype)


def adjoint(grad: Tensor, kernels: Tensor, kernel_size: int, groups: int, size: Size, backend: str = "") -> Tensor:
    """`[B, C, H, W]`, `[B, G·K², H, W]` → `[B, C, *size]`."""
    rows, columns = (source_index(*lengths, grad.device) for lengths in zip(size, size_of(grad), strict=True))
    return _spread(grad, kernels, kernel_size, groups, rows, columns, size)


def similarity(query: Tensor, key: Tensor, kernel_size: int, groups: int, backend: str = "") -> Tensor:
    """`[B, C, H, W]`, `[B, C, h, w]` → `[B, G·K², H, W]`."""
    return _correlate(query, _raised(key, query, kernel_size, groups), groups)


def fused(
    de: Tensor, logits: Tensor, en: Tensor | None, gate: Tensor | None, kernel_size: int, groups: int, backend: str
) -> Tensor:
    """Softmax, reassembly and gate: see `ops.composed`."""
    return composed.fused(_SELF, de, logits, en, gate, kernel_size, groups)


def fused_backward(
    grad: Tensor,
    de: Tensor,
    logits: Tensor,
    en: Tensor | None,
    gate: Tensor | None,
    kernel_size: int,
    groups: int,
    backend: str = "",
) -> composed.Gradients:
    """Gradients of `fused`."""
    return composed.fused_backward(_SELF, grad, de, logits, en, gate, kernel_size, groups)


def bidownsample(features: Tensor, kernels: Tensor, kernel_size: int, scale_factor: int, groups: int) -> Tensor:
    """`[B, C, H, W]`, `[B, G·k², h, w]` → `[B, C, h, w]`."""
    return _contract(_lowered(features, kernels, kernel_size, scale_factor, groups), kernels, groups).to(features.dtype)


def bidownsample_adjoint(
    grad: Tensor, kernels: Tensor, kernel_size: int, scale_factor: int, groups: int, height: int, width: int
) -> Tensor:
    """`[B, C, h, w]`, `[B, G·k², h, w]` → `[B, C, height, width]`."""
    rows, columns = (torch.arange(n, device=grad.device) * scale_factor for n in size_of(grad))
    return _spread(grad, kernels, kernel_size, groups, rows, columns, (height, width))


def bidownsample_similarity(grad: Tensor, features: Tensor, kernel_size: int, scale_factor: int, groups: int) -> Tensor:
    """`[B, C, h, w]`, `[B, C, H, W]` → `[B, G·k², h, w]`."""
    return _correlate(grad, _lowered(features, grad, kernel_size, scale_factor, groups), groups)


def _lowered(high: Tensor, low: Tensor, kernel_size: int, scale_factor: int, groups: int) -> Iterator[Tensor]:
    """The windows that the pixels of `low` are sums of."""
    rows, columns = (torch.arange(n, device=high.device) * scale_factor for n in size_of(low))
    return _windows(high, kernel_size, groups, rows, columns)


def _raised(low: Tensor, high: Tensor, kernel_size: int, groups: int) -> Iterator[Tensor]:
    """The windows around the source pixel of every pixel of `high`."""
    rows, columns = (source_index(*lengths, low.device) for lengths in zip(size_of(low), size_of(high), strict=True))
    return _windows(low, kernel_size, groups, rows, columns)


def _windows(x: Tensor, kernel_size: int, groups: int, rows: Tensor, columns: Tensor) -> Iterator[Tensor]:
    """Windows around `rows` `[H]` and `columns` `[W]` of `x`: for each of K rows of taps `[B, G, C/G, H, K, W]`."""
    before = (kernel_size - 1) // 2
    padded = F.pad(accumulate(x), (before, kernel_size - 1 - before) * 2)
    taps = torch.arange(kernel_size, device=x.device)[:, None]
    beside = padded.index_select(3, (taps + columns).flatten())
    for i in range(kernel_size):
        band = by_group(beside.index_select(2, rows + i), groups)
        yield band.reshape(*band.shape[:4], kernel_size, columns.shape[0])


def _contract(windows: Iterator[Tensor], kernels: Tensor, groups: int) -> Tensor:
    """Σ over the taps of tap times kernel: `[B, C, H, W]`."""
    of_groups = by_group(accumulate(kernels), groups).unsqueeze(2)  # [B, G, 1, K², H, W]
    kernel_size = math.isqrt(of_groups.shape[3])
    rows = of_groups.transpose(3, 4).chunk(kernel_size, 4)  # K of [B, G, 1, H, K, W]
    products = ((row * band).sum(4) for row, band in zip(rows, windows, strict=True))
    total: Tensor = functools.reduce(torch.add, products)
    return total.flatten(1, 2)


def _correlate(x: Tensor, windows: Iterator[Tensor], groups: int) -> Tensor:
    """Inner products of `x` `[B, C, H, W]` with the taps of its windows: `[B, G·K², H, W]`."""
    of_groups = by_group(accumulate(x), groups).unsqueeze(4)  # [B, G, C/G, H, 1, W]
    products = [(of_groups * band).sum(2) for band in windows]
    return torch.cat([row.transpose(2, 3) for row in products], 2).flatten(1, 2).to(x.dtype)


def _spread(
    x: Tensor, kernels: Tensor, kernel_size: int, groups: int, rows: Tensor, columns: Tensor, size: Size
) -> Tensor:
    """The adjoint of `_contract` in what the windows were cut from: `[B, C, H, W]` → `[B, C, *size]`."""
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


_SELF = cast(composed.Contractions, sys.modules[__name__])
