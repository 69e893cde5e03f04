"""Reference back end: torch's grouped convolution; any device and dtype. Also the composed form of the operators."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

NAME = "reference"


def unsupported_reasons(x: Tensor, weight: Tensor) -> list[str]:
    """Nothing ever stands against it."""
    return []


def convolve(x: Tensor, weight: Tensor, stride: int, padding: int) -> Tensor:
    """`[B, C, H, W]`, `[1 or B, C, k, k]` → `[B, C, H', W']`."""
    images, channels, *kernel = weight.shape
    if images == 1:
        return F.conv2d(x, weight.reshape(channels, 1, *kernel), stride=stride, padding=padding, groups=channels)
    maps = x.reshape(1, images * channels, *x.shape[2:])
    kernels = weight.reshape(images * channels, 1, *kernel)
    out = F.conv2d(maps, kernels, stride=stride, padding=padding, groups=images * channels)
    return out.reshape(images, channels, *out.shape[2:])


def backward(
    grad: Tensor, x: Tensor, weight: Tensor, stride: int, padding: int, needs: Sequence[bool]
) -> tuple[Tensor | None, Tensor | None]:
    """Gradients of `x` and `weight`, of those that are needed; they can be differentiated themselves."""
    images, channels, *kernel = weight.shape
    shape = (1, images * channels, *x.shape[2:]) if images > 1 else x.shape
    groups = images * channels
    of_map, of_weight, _ = torch.ops.aten.convolution_backward(
        grad.reshape(*shape[:2], *grad.shape[2:]),
        x.reshape(shape),
        weight.reshape(groups, 1, *kernel),
        None,
        *([stride] * 2, [padding] * 2, [1, 1], False, [0, 0], groups),
        [*needs, False],
    )
    return (
        of_map.reshape(x.shape) if needs[0] else None,
        of_weight.reshape(weight.shape) if needs[1] else None,
    )
