"""The operators of content encoding as torch sees them.

Programs exported with earlier versions name no back end: the first that can take the maps then serves.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from denseup.ops.encoding import arguments, flops, gradients, reference
from denseup.ops.encoding.backends import BACKENDS
from denseup.ops.geometry import layout, like_layout, new_map, size_of
from denseup.ops.registration import Gradient, register


def _encode(high: Tensor, low: Tensor | None, weight: Tensor, bias: Tensor | None, backend: str = "") -> Tensor:
    return like_layout(BACKENDS.serving(backend, high, low, weight, bias).encode(high, low, weight, bias), high)


def _encode_backward(
    grad: Tensor, high: Tensor, low: Tensor | None, weight: Tensor, needs: Sequence[bool], backend: str = ""
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    chosen = BACKENDS.serving(backend, high, low, weight, None)
    *of_tensors, of_bias = chosen.encode_backward(grad, high, low, weight, needs)
    out = [
        grad.new_empty(0) if y is None or x is None else like_layout(y, x)
        for x, y in zip((high, low, weight), of_tensors, strict=True)
    ]
    return out[0], out[1], out[2], grad.new_empty(0) if of_bias is None else of_bias


def _fake_backward(
    grad: Tensor, high: Tensor, low: Tensor | None, weight: Tensor, needs: Sequence[bool], backend: str = ""
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    out = [
        torch.empty_like(x, memory_format=layout(x)) if need and x is not None else grad.new_empty(0)
        for x, need in zip((high, low, weight), needs, strict=False)
    ]
    return out[0], out[1], out[2], grad.new_empty(weight.shape[0] if needs[3] else 0)


def _composed(high: Tensor, low: Tensor | None, weight: Tensor, bias: Tensor | None, backend: str = "") -> Tensor:
    return reference.encode(high, low, weight, bias)


def _composed_backward(
    grad: Tensor, high: Tensor, low: Tensor | None, weight: Tensor, needs: Sequence[bool], backend: str = ""
) -> tuple[Tensor, ...]:
    found = reference.encode_backward(grad, high, low, weight, needs)
    return tuple(grad.new_empty(0) if x is None else x for x in found)


encode = register(
    "encode_content",
    _encode,
    check=arguments.check_encode,
    fake=lambda high, low, weight, *_: new_map(high, weight.shape[0], size_of(high)),
    composed=_composed,
    gradient=Gradient(gradients.save, gradients.of_encode),
    flops=flops.of_encode,
)
"""`[B, C, H, W]`, `[B, C, h, w]`, `[O, C, 3, 3]`, `[O]` → `[B, O, H, W]`."""

encode_backward = register(
    "encode_content_backward",
    _encode_backward,
    check=arguments.check_encode_backward,
    fake=_fake_backward,
    composed=_composed_backward,
    gradient=Gradient(gradients.save_backward, gradients.of_encode_backward),
    flops=flops.of_encode_backward,
)
"""Gradients of high, low, weight and bias, in the layout of their tensors; empty for those that are not needed."""
