"""Average pooling to a given size, also in graphs for any size."""

import torch
from torch import Tensor
from torch.nn import functional as F

from denseup.ops import transforms
from denseup.ops.arithmetic import accumulate
from denseup.ops.geometry import Size, size_of
from denseup.ops.repeating import must_repeat


def adaptive_average(x: Tensor, size: Size) -> Tensor:
    """torch's adaptive average pooling `[B, C, H, W]` → `[B, C, *size]`.

    Bin i of n reaches from ⌊i·N/n⌋ to ⌈(i+1)·N/n⌉. Where a graph may be made for any size, for which exporters and
    inductor have no such operator, the bins are the rows of two matrices.
    """
    lengths = (*x.shape[2:], *size)
    if not transforms.takes_any_size(*lengths):
        if size_of(x) == tuple(size):
            return x
        unordered = must_repeat(x) and x.requires_grad  # torch's gradient has no order of its sums on a GPU
        if not transforms.may_be_symbols(*lengths) and not unordered:
            return F.adaptive_avg_pool2d(x, size)
    wide = accumulate(x)
    rows, columns = (_bins(length, number, wide) for length, number in zip(size_of(x), size, strict=True))
    pixels = rows.sum(1)[:, None] * columns.sum(1)
    # divided last: inductor can't order the strides of a product of matrices that is a convolution's input (torch 2.13)
    return (rows @ wide @ columns.T / pixels).to(x.dtype)


def _bins(length: int, number: int, like: Tensor) -> Tensor:
    """1 where one of `length` pixels lies in a bin: `[number, length]`."""
    bins = torch.arange(number, device=like.device)[:, None]
    pixels = torch.arange(length, device=like.device)
    first, end = bins * length // number, ((bins + 1) * length + number - 1) // number
    return ((pixels >= first) & (pixels < end)).to(like.dtype)
