"""Reference back end: torch's convolution and matrix products; any device, dtype and layout."""

from typing import cast

import torch
from torch import Tensor

from denseup.ops.convolutions import convolution_backward

NAME = "reference"


def unsupported_reasons(x: Tensor, weight: Tensor, bias: Tensor | None, to: Tensor | None = None) -> list[str]:
    """Nothing ever stands against it."""
    return []


def convolve(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """`[B, C, H, W]`, `[O, C, 1, 1]`, `[O]` → `[B, O, H, W]`."""
    return torch.conv2d(x, weight, bias)


def backward(
    grad: Tensor, x: Tensor, weight: Tensor, to: Tensor | None, parameters: bool, add: bool = True
) -> tuple[Tensor, Tensor]:
    """Gradients of weight and bias if asked for, else empty; that of `x` is added to `to`, in any layout."""
    if to is not None:
        if not add:
            to.zero_()
        _add_gradient(to, grad, weight)
    if not parameters:
        return grad.new_empty(0), grad.new_empty(0)
    _, of_weight, _ = convolution_backward(grad, x, weight, (False, True, False))
    return cast(Tensor, of_weight), grad.sum((0, 2, 3))  # which the convolution's own backward is slow at


def _add_gradient(to: Tensor, grad: Tensor, weight: Tensor) -> None:
    """By operators that torch's FLOP counter knows, which `addmm_` is not."""
    matrix = weight.flatten(1)  # [O, C]
    if to.is_contiguous(memory_format=torch.channels_last):
        pixels = _pixels(to)
        torch.addmm(pixels, _pixels(grad), matrix, out=pixels)
    elif to.is_contiguous():
        images = to.flatten(2)
        torch.baddbmm(images, matrix.mT.expand(to.shape[0], -1, -1), grad.flatten(2), out=images)
    else:
        to.add_(torch.conv2d(grad, weight.transpose(0, 1)))


def _pixels(x: Tensor) -> Tensor:
    """`[B, C, H, W]` → `[B·H·W, C]`, a view where `x` is channels-last."""
    return x.permute(0, 2, 3, 1).reshape(-1, x.shape[1])
