"""The operators of depthwise convolution as torch sees them."""

from collections.abc import Sequence

from torch import Tensor

from denseup.ops.depthwise import arguments, flops, gradients, reference
from denseup.ops.depthwise.backends import BACKENDS
from denseup.ops.geometry import like_layout, new_map, size_of
from denseup.ops.registration import Gradient, register


def _depthwise(x: Tensor, weight: Tensor, stride: int, padding: int, backend: str = "") -> Tensor:
    return like_layout(BACKENDS.serving(backend, x, weight).convolve(x, weight, stride, padding), x)


def _depthwise_backward(
    grad: Tensor, x: Tensor, weight: Tensor, stride: int, padding: int, needs: Sequence[bool], backend: str = ""
) -> tuple[Tensor, Tensor]:
    of_x, of_weight = BACKENDS.serving(backend, x, weight).backward(grad, x, weight, stride, padding, needs)
    return (
        grad.new_empty(0) if of_x is None else like_layout(of_x, x),
        grad.new_empty(0) if of_weight is None else of_weight.contiguous(),
    )


def _fake(x: Tensor, weight: Tensor, stride: int, padding: int, backend: str = "") -> Tensor:
    height, width = (arguments.output_length(length, weight.shape[2], stride, padding) for length in size_of(x))
    return new_map(x, x.shape[1], (height, width))


def _fake_backward(
    grad: Tensor, x: Tensor, weight: Tensor, stride: int, padding: int, needs: Sequence[bool], backend: str = ""
) -> tuple[Tensor, Tensor]:
    of_x = new_map(x, x.shape[1], size_of(x)) if needs[0] else grad.new_empty(0)
    return of_x, weight.new_empty(weight.shape) if needs[1] else grad.new_empty(0)


def _composed(x: Tensor, weight: Tensor, stride: int, padding: int, backend: str = "") -> Tensor:
    return reference.convolve(x, weight, stride, padding)


def _composed_backward(
    grad: Tensor, x: Tensor, weight: Tensor, stride: int, padding: int, needs: Sequence[bool], backend: str = ""
) -> tuple[Tensor, ...]:
    found = reference.backward(grad, x, weight, stride, padding, needs)
    return tuple(grad.new_empty(0) if x is None else x for x in found)


depthwise = register(
    "depthwise",
    _depthwise,
    check=arguments.check_depthwise,
    fake=_fake,
    composed=_composed,
    gradient=Gradient(gradients.save, gradients.of_depthwise),
    flops=flops.of_depthwise,
)
"""`[B, C, H, W]`, `[1 or B, C, k, k]`, stride, padding → `[B, C, H', W']`, in the layout of the map."""

depthwise_backward = register(
    "depthwise_backward",
    _depthwise_backward,
    check=arguments.check_backward,
    fake=_fake_backward,
    composed=_composed_backward,
    gradient=Gradient(gradients.save_backward, gradients.of_backward),
    flops=flops.of_backward,
)
"""Gradients of map, in its layout, and weight; empty for those that are not needed."""
