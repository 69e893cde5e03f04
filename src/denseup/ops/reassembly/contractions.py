"""Softmax, reassembly and gate from a back end's single operators, for back ends that have no fused kernels.

    kernels = softmax over the K² logits of each pixel and group;   up = reassemble(de, kernels)
    out = gate·en + (1 - gate)·up, or up where there is no gate; the gate of a pixel is that of its source pixel

With s = similarity(grad, de), the gradient of the logits is (1 - gate)·kernels·(s - Σ kernels·s), and that of the gate
Σ grad·en - Σ kernels·s over the pixels of a source pixel. Nothing of the size K²·C is ever made.
"""

from typing import Protocol

import torch
from torch import Tensor

from denseup.ops.geometry import Size
from denseup.ops.nearest.operators import resize_nearest, sum_of_cells

Gradients = tuple[Tensor, Tensor, Tensor | None, Tensor | None]
"""Of de, logits, en and gate."""


class Contractions(Protocol):
    """The three functions of `ops.reference`."""

    def reassemble(self, de: Tensor, kernels: Tensor, kernel_size: int, groups: int) -> Tensor:
        """Forward."""
        ...

    def adjoint(self, grad: Tensor, kernels: Tensor, kernel_size: int, groups: int, size: Size) -> Tensor:
        """Gradient of the features."""
        ...

    def similarity(self, query: Tensor, key: Tensor, kernel_size: int, groups: int) -> Tensor:
        """Gradient of the kernels."""
        ...


def softmax(logits: Tensor, groups: int) -> Tensor:
    """Over the K² values of each pixel and group of `[B, G·K², H, W]`, in at least float32."""
    dtype = torch.promote_types(logits.dtype, torch.float32)
    return by_group(logits, groups).softmax(2, dtype=dtype).flatten(1, 2)


def fused(
    backend: Contractions,
    de: Tensor,
    logits: Tensor,
    en: Tensor | None,
    gate: Tensor | None,
    kernel_size: int,
    groups: int,
) -> Tensor:
    """`[B, C, h, w]`, `[B, G·K², H, W]`, `[B, C, H, W]`, `[B, 1, h, w]` → `[B, C, H, W]`."""
    up = backend.reassemble(de, softmax(logits, groups), kernel_size, groups)
    if en is None or gate is None:
        return up
    blend = resize_nearest(gate, (logits.shape[2], logits.shape[3])).to(up.dtype)
    return mix(up, en, blend)


def fused_backward(
    backend: Contractions,
    grad: Tensor,
    de: Tensor,
    logits: Tensor,
    en: Tensor | None,
    gate: Tensor | None,
    kernel_size: int,
    groups: int,
) -> Gradients:
    """Gradients of `fused`."""
    size = (de.shape[2], de.shape[3])
    kernels = softmax(logits, groups)
    products = backend.similarity(grad, de, kernel_size, groups).to(kernels.dtype) * kernels
    means = by_group(products, groups).sum(2, keepdim=True)
    grad_logits = (by_group(products, groups) - by_group(kernels, groups) * means).flatten(1, 2)
    if en is None or gate is None:
        return backend.adjoint(grad, kernels, kernel_size, groups, size), grad_logits.to(logits.dtype), None, None
    blend = resize_nearest(gate, (grad.shape[2], grad.shape[3])).to(kernels.dtype)
    grad_de = backend.adjoint(grad, (1 - blend) * kernels, kernel_size, groups, size)
    of_pixels = (grad * en).sum(1, keepdim=True, dtype=kernels.dtype) - means.sum(1)
    grad_gate = sum_of_cells(of_pixels, size)
    grad_logits = (1 - blend) * grad_logits
    return grad_de, grad_logits.to(logits.dtype), (grad * blend).to(en.dtype), grad_gate.to(gate.dtype)


def mix(low: Tensor, high: Tensor, gate: Tensor) -> Tensor:
    """gate·high + (1 - gate)·low as it stands: `torch.lerp` subtracts the two, which makes NaN of what is infinite."""
    return torch.addcmul((1 - gate) * low, gate, high)


def by_group(x: Tensor, groups: int) -> Tensor:
    """`[B, G·K², H, W]` → `[B, G, K², H, W]`."""
    return x.reshape(x.shape[0], groups, x.shape[1] // groups, *x.shape[2:])


def accumulate(x: Tensor) -> Tensor:
    """`x` in a type that is wide enough for sums: float32 for half precision."""
    return x.float() if x.dtype in (torch.float16, torch.bfloat16) else x
