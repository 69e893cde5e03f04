"""Sums, softmax and blends of maps, as all operators have them."""

from collections.abc import Sequence

import torch
from torch import Tensor


def accumulate(x: Tensor) -> Tensor:
    """`x` in a type that is wide enough for sums: float32 for half precision."""
    return x.float() if x.dtype in (torch.float16, torch.bfloat16) else x


def by_group(x: Tensor, groups: int) -> Tensor:
    """`[B, G·K², H, W]` → `[B, G, K², H, W]`."""
    return x.reshape(x.shape[0], groups, x.shape[1] // groups, *x.shape[2:])


def unflatten(x: Tensor, dim: int, sizes: Sequence[int]) -> Tensor:
    """torch's, whose result has no type."""
    split: Tensor = x.unflatten(dim, sizes)  # type: ignore[no-untyped-call]
    return split


def softmax_by_group(logits: Tensor, groups: int) -> Tensor:
    """Over the K² values of each pixel and group of `[B, G·K², H, W]`, in at least float32."""
    dtype = torch.promote_types(logits.dtype, torch.float32)
    return by_group(logits, groups).softmax(2, dtype=dtype).flatten(1, 2)


def blend(low: Tensor, high: Tensor, gate: Tensor) -> Tensor:
    """gate·high + (1 - gate)·low as it stands: `torch.lerp` subtracts the two, which makes NaN of what is infinite."""
    return torch.addcmul((1 - gate) * low, gate, high)
