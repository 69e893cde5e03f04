"""Bicubic interpolation with a gradient that repeats itself on a GPU, where torch's adds in any order.

Keys' kernel with a = -0.75, over 4×4 pixels, the outermost ones repeated; half-pixel centres
(`torch.nn.functional.interpolate`, align_corners=False).
"""

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from denseup.ops import transforms
from denseup.ops.arithmetic import accumulate
from denseup.ops.geometry import Size
from denseup.ops.repeating import must_repeat

SHARPNESS = -0.75
"""a of the kernel, as torch has it."""


def bicubic(x: Tensor, size: Size) -> Tensor:
    """`[B, C, h, w]` → `[B, C, *size]`, by torch; where results must repeat, its gradient is two matrix products."""
    if must_repeat(x) and x.requires_grad and not transforms.are_active():
        out: Tensor = _Repeating.apply(x, size)  # type: ignore[no-untyped-call]
        return out
    return F.interpolate(x, size=size, mode="bicubic", align_corners=False)


class _Repeating(torch.autograd.Function):
    @staticmethod
    def forward(context: Any, x: Tensor, size: Size) -> Tensor:
        context.lengths = (x.shape[2], x.shape[3])
        return F.interpolate(x, size=size, mode="bicubic", align_corners=False)

    @staticmethod
    def backward(context: Any, *grads: Tensor) -> tuple[Tensor, None]:
        (grad,) = grads
        wide = accumulate(grad)
        pairs = zip(context.lengths, grad.shape[2:], strict=True)
        rows, columns = (_weights(length, number, wide) for length, number in pairs)
        return (rows.T @ wide @ columns).to(grad.dtype), None


def _weights(length: int, number: int, like: Tensor) -> Tensor:
    """What each of `number` values takes of each of `length`: `[number, length]`."""
    position = (torch.arange(number, device=like.device, dtype=like.dtype) + 0.5) * (length / number) - 0.5
    first = position.floor()
    pixels = torch.arange(length, device=like.device)
    taken = torch.zeros(number, length, device=like.device, dtype=like.dtype)
    for offset in range(-1, 3):
        pixel = (first + offset).clamp(0, length - 1).long()
        taken = taken + _kernel((position - first - offset).abs())[:, None] * (pixel[:, None] == pixels)
    return taken


def _kernel(distance: Tensor) -> Tensor:
    """Keys' kernel at distances in [0, 2]."""
    a, d = SHARPNESS, distance
    near = ((a + 2) * d - (a + 3)) * d * d + 1
    far = ((a * d - 5 * a) * d + 8 * a) * d - 4 * a
    return torch.where(d <= 1, near, far)
