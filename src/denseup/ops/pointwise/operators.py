"""The operators of 1×1 convolutions as torch sees them; results are channels-last.

Programs exported with earlier versions name no back end: the first that can take the maps then serves.
"""

import torch
from torch import Tensor

from denseup.ops.dispatch import REFERENCE
from denseup.ops.geometry import size_of
from denseup.ops.pointwise import arguments, flops, gradients
from denseup.ops.pointwise.backends import BACKENDS
from denseup.ops.registration import Gradient, register


def _convolve(x: Tensor, weight: Tensor, bias: Tensor | None, backend: str = "") -> Tensor:
    chosen = BACKENDS.serving(backend, x, weight, bias)
    out = chosen.convolve(x, weight, bias)
    return out.contiguous(memory_format=torch.channels_last) if chosen.NAME == REFERENCE else out


def _backward(
    grad: Tensor, x: Tensor, weight: Tensor, to: Tensor | None, parameters: bool, backend: str = "", add: bool = True
) -> tuple[Tensor, Tensor]:
    return BACKENDS.serving(backend, x, weight, None, to).backward(grad, x, weight, to, parameters, add)


def _fake_convolve(x: Tensor, weight: Tensor, bias: Tensor | None, backend: str = "") -> Tensor:
    return x.new_empty((x.shape[0], weight.shape[0], *size_of(x))).contiguous(memory_format=torch.channels_last)


def _fake_backward(
    grad: Tensor, x: Tensor, weight: Tensor, to: Tensor | None, parameters: bool, backend: str = "", add: bool = True
) -> tuple[Tensor, Tensor]:
    of_weight, of_bias = (x.new_empty(size) if parameters else x.new_empty(0) for size in (weight.shape, grad.shape[1]))
    return of_weight, of_bias


def _composed(x: Tensor, weight: Tensor, bias: Tensor | None, backend: str = "") -> Tensor:
    return torch.conv2d(x, weight, bias)


convolve = register(
    "pointwise",
    _convolve,
    check=arguments.check_convolve,
    fake=_fake_convolve,
    composed=_composed,
    gradient=Gradient(gradients.save, gradients.of_convolve),
    flops=flops.of_convolve,
)
"""`[B, C, H, W]`, `[O, C, 1, 1]`, `[O]` → `[B, O, H, W]`."""

backward = register(
    "pointwise_backward",
    _backward,
    check=arguments.check_backward,
    fake=_fake_backward,
    composed=None,
    flops=flops.of_backward,
    writes_to="to",
)
"""Gradients of weight and bias if asked for, else empty; that of `x` is added to `to`, or with `add`
false written there, if it is given."""
