"""Neighbourhood attention in torch's own operators: for exporters, `torch.func` and forward mode (`ops.registration`).

A window that stays inside the map is that of `ops/windows.py` around another pixel. All K² taps are computed whatever
the size, for a graph serves maps of any; those beyond a map that is smaller than the window have no weight. `backend`
makes no difference here.
"""

from collections.abc import Iterator

import torch
from torch import Tensor
from torch.nn import functional as F

from denseup.ops import transforms
from denseup.ops.arithmetic import accumulate, by_group, softmax_by_group
from denseup.ops.geometry import Size, size_of, window_start
from denseup.ops.windows import contract, correlate, spread, windows


def attention(
    query: Tensor, key: Tensor, value: Tensor, kernel_size: int, heads: int, scale: float, backend: str = ""
) -> Tensor:
    """`[B, D, H, W]`, `[B, D, h, w]`, `[B, C, h, w]` → `[B, C, H, W]`."""
    centres = centres_of(query, size_of(key), kernel_size)
    weights = _weights(query, key, kernel_size, heads, scale, centres)
    return contract(_windows(value, kernel_size, heads, centres), weights, heads).to(query.dtype)


def attention_backward(
    grad: Tensor,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    kernel_size: int,
    heads: int,
    scale: float,
    backend: str = "",
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients of query, key and value."""
    centres = centres_of(query, size_of(key), kernel_size)
    found = backward_of_rows(grad, query, key, value, kernel_size, heads, scale, centres)
    return found[0], found[1].to(key.dtype), found[2].to(value.dtype)


def backward_of_rows(
    grad: Tensor,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    kernel_size: int,
    heads: int,
    scale: float,
    centres: tuple[Tensor, Tensor],
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients of some rows of the output, whose windows are around `centres`; those of key and value are sums."""
    weights = _weights(query, key, kernel_size, heads, scale, centres)
    high = accumulate(grad)
    products = correlate(high, _windows(value, kernel_size, heads, centres), heads)
    products = _without_outside(products, 0.0, kernel_size, heads, size_of(key)) * weights
    means = by_group(products, heads).sum(2, keepdim=True)
    slopes = (by_group(products, heads) - by_group(weights, heads) * means).flatten(1, 2) * scale
    grad_query = contract(_windows(key, kernel_size, heads, centres), slopes, heads).to(query.dtype)
    grad_key = _spread(accumulate(query), slopes, kernel_size, heads, centres, size_of(key))
    return grad_query, grad_key, _spread(high, weights, kernel_size, heads, centres, size_of(value))


def centres_of(query: Tensor, low: Size, kernel_size: int) -> tuple[Tensor, Tensor]:
    """Rows `[H]` and columns `[W]` of the pixels that the windows are around, as `ops/windows.py` has it."""
    before = (kernel_size - 1) // 2
    rows, columns = (
        window_start(*lengths, kernel_size, query.device) + before for lengths in zip(low, size_of(query), strict=True)
    )
    return rows, columns


def _weights(
    query: Tensor, key: Tensor, kernel_size: int, heads: int, scale: float, centres: tuple[Tensor, Tensor]
) -> Tensor:
    """`[B, N·K², H, W]`, in at least float32."""
    logits = correlate(accumulate(query), _windows(key, kernel_size, heads, centres), heads) * scale
    return softmax_by_group(_without_outside(logits, -torch.inf, kernel_size, heads, size_of(key)), heads)


def _windows(x: Tensor, kernel_size: int, heads: int, centres: tuple[Tensor, Tensor]) -> Iterator[Tensor]:
    beyond = _beyond(kernel_size, size_of(x))
    return windows(F.pad(x, (0, beyond, 0, beyond)) if beyond else x, kernel_size, heads, *centres)


def _spread(
    x: Tensor, kernels: Tensor, kernel_size: int, heads: int, centres: tuple[Tensor, Tensor], low: Size
) -> Tensor:
    beyond = _beyond(kernel_size, low)
    found = spread(x, kernels, kernel_size, heads, *centres, (low[0] + beyond, low[1] + beyond))
    return found[..., : low[0], : low[1]] if beyond else found


def _without_outside(x: Tensor, fill: float, kernel_size: int, heads: int, low: Size) -> Tensor:
    """`[B, N·K², H, W]` with another value where a map smaller than the window has no pixel."""
    if not _beyond(kernel_size, low):
        return x
    taps = torch.arange(kernel_size, device=x.device)
    outside = (taps >= low[0])[:, None] | (taps >= low[1])
    return by_group(x, heads).masked_fill(outside.reshape(-1, 1, 1), fill).flatten(1, 2)


def _beyond(kernel_size: int, low: Size) -> int:
    """Rows and columns of zeros to be added, so that a window fits; 0 where it always does."""
    fits = not transforms.may_be_symbols(*low) and min(low) >= kernel_size
    return 0 if fits else kernel_size
