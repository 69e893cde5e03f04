"""Average pooling to a given size, also in graphs for any size."""

import torch
from torch import Tensor
from torch.nn import functional as F

from denseup.ops import transforms
from denseup.ops.arithmetic import accumulate
from denseup.ops.geometry import Size, size_of


def adaptive_average(x: Tensor, size: Size) -> Tensor:
    """torch's adaptive average pooling `[B, C, H, W]` → `[B, C, *size]`.

    Bin i of n reaches from ⌊i·N/n⌋ to ⌈(i+1)·N/n⌉. In a graph of torch's operators that is made for any size, where
    there is no such operator, the bins are the rows of two matrices.
    """
    if not transforms.is_taken_apart():
        return x if size_of(x) == tuple(size) else F.adaptive_avg_pool2d(x, size)
    wide = accumulate(x)
    rows, columns = (_bins(length, n, wide) for length, n in zip(size_of(x), size, strict=True))
    return (rows @ wide @ columns.T).to(x.dtype)


def _bins(length: int, count: int, like: Tensor) -> Tensor:
    """The share of each of `length` pixels in each of `count` bins: `[count, length]`."""
    bins = torch.arange(count, device=like.device)[:, None]
    pixels = torch.arange(length, device=like.device)
    first, end = bins * length // count, ((bins + 1) * length + count - 1) // count
    inside = ((pixels >= first) & (pixels < end)).to(like.dtype)
    return inside / (end - first).to(like.dtype)
