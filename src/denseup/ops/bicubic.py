"""Bicubic interpolation: torch's values, faster on a CPU, and with a gradient that repeats itself on a GPU.

Keys' kernel with a = -0.75, over 4×4 pixels, the outermost ones repeated; half-pixel centres
(`torch.nn.functional.interpolate`, align_corners=False).

Where a map is enlarged, these 4×4 pixels lie in the window of 5×5 around the source pixel ⌊o·h/H⌋. So it is a
reassembly by kernels that are the same for every image, and takes a fraction of the time of torch's own. Of the 25
weights 9 are zero, by which what is not finite must not be multiplied: such maps are torch's. (An incoming gradient is
not looked at: one that is not finite reaches up to a source pixel more on each side.)
"""

import math
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from denseup.ops import transforms
from denseup.ops.arithmetic import accumulate
from denseup.ops.geometry import Size, size_of
from denseup.ops.reassembly import cpu, reassemble
from denseup.ops.reassembly.backends import BACKENDS
from denseup.ops.repeating import must_repeat

SHARPNESS = -0.75
"""a of the kernel, as torch has it."""
WINDOW = 5
"""Pixels of a side that hold the 4 which an output pixel of an enlarged map reads."""
FEWEST_CHANNELS = 8
"""From which on the kernels, WINDOW² values for each output pixel, are worth making."""


def bicubic(x: Tensor, size: Size) -> Tensor:
    """`[B, C, h, w]` → `[B, C, *size]`.

    By torch, or by our kernels where they serve; where results must repeat, the gradient is two matrix products.
    """
    if must_repeat(x) and x.requires_grad and not transforms.are_active():
        out: Tensor = _Repeating.apply(x, size)  # type: ignore[no-untyped-call]
        return out
    if _is_reassembled(x, size):
        kernels = _kernels(size_of(x), size, x.dtype).expand(x.shape[0], -1, -1, -1)
        return reassemble(x, kernels, WINDOW)
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
        rows, columns = (
            _weights(length, number, torch.arange(length, device=wide.device)[None], wide) for length, number in pairs
        )
        return (rows.T @ wide @ columns).to(grad.dtype), None


def _is_reassembled(x: Tensor, size: Size) -> bool:
    """Whether the compiled kernels take it: finite values on the CPU, enlarged, that no graph, transform or mode sees.

    In half precision they would round the weights, which torch does not.
    """
    if torch.compiler.is_compiling() or not transforms.nothing_looks_on(x) or not x.is_cpu or not x.numel():
        return False
    enlarged = all(0 < low <= high for low, high in zip(size_of(x), size, strict=True))
    if not enlarged or x.shape[1] < FEWEST_CHANNELS or x.dtype != torch.float32:
        return False
    return BACKENDS.choose(None, x, WINDOW, 1) == cpu.NAME and math.isfinite(x.detach().sum())


def _kernels(low: Size, high: Size, dtype: torch.dtype) -> Tensor:
    """For `reassemble`: `[1, WINDOW², H, W]`, channels-last."""
    lines = []
    for length, number in zip(low, high, strict=True):
        centre = torch.arange(number, device="cpu") * length // number
        window = centre[:, None] + torch.arange(-(WINDOW // 2), WINDOW // 2 + 1, device="cpu")
        lines.append(_weights(length, number, window, torch.zeros((), dtype=torch.float64, device="cpu")).to(dtype))
    rows, columns = lines[0].repeat_interleave(WINDOW, 1), lines[1].repeat(1, WINDOW)
    return (rows[:, None] * columns).permute(2, 0, 1)[None]


def _weights(length: int, number: int, pixels: Tensor, like: Tensor) -> Tensor:
    """What each of `number` values takes of the given ones of `length` pixels: `[1 or number, P]` → `[number, P]`."""
    position = (torch.arange(number, device=like.device, dtype=like.dtype) + 0.5) * (length / number) - 0.5
    first = position.floor()
    taken = torch.zeros(number, pixels.shape[1], device=like.device, dtype=like.dtype)
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
