"""Softmax, reassembly and gate from single contractions, for back ends that have no kernels for all in one.

    kernels = softmax over the K² logits of each pixel and group;   up = reassemble(de, kernels)
    out = gate·en + (1 - gate)·up, or up where there is no gate; the gate of a pixel is that of its source pixel

With s = similarity(grad, de), the gradient of the logits is (1 - gate)·kernels·(s - Σ kernels·s), and that of the gate
Σ grad·en - Σ kernels·s over the pixels of a source pixel. Nothing of the size K²·C is ever made.
"""

from typing import Protocol

from torch import Tensor

from denseup.ops.arithmetic import blend, by_group, softmax_by_group
from denseup.ops.geometry import Size, size_of
from denseup.ops.nearest import resize_nearest, sum_of_cells

Gradients = tuple[Tensor, Tensor, Tensor | None, Tensor | None]
"""Of de, logits, en and gate."""


class Contractions(Protocol):
    """The three functions of `reference.py`."""

    def reassemble(self, de: Tensor, kernels: Tensor, kernel_size: int, groups: int) -> Tensor:
        """Forward."""
        ...

    def adjoint(self, grad: Tensor, kernels: Tensor, kernel_size: int, groups: int, size: Size) -> Tensor:
        """Gradient of the features."""
        ...

    def similarity(self, query: Tensor, key: Tensor, kernel_size: int, groups: int) -> Tensor:
        """Gradient of the kernels."""
        ...


def softmax_reassemble(
    backend: Contractions,
    de: Tensor,
    logits: Tensor,
    en: Tensor | None,
    gate: Tensor | None,
    kernel_size: int,
    groups: int,
) -> Tensor:
    """`[B, C, h, w]`, `[B, G·K², H, W]`, `[B, C, H, W]`, `[B, 1, h, w]` → `[B, C, H, W]`."""
    up = backend.reassemble(de, softmax_by_group(logits, groups), kernel_size, groups)
    if en is None or gate is None:
        return up
    return blend(up, en, resize_nearest(gate, size_of(logits)).to(up.dtype))


def softmax_reassemble_backward(
    backend: Contractions,
    grad: Tensor,
    de: Tensor,
    logits: Tensor,
    en: Tensor | None,
    gate: Tensor | None,
    kernel_size: int,
    groups: int,
) -> Gradients:
    """Gradients of `softmax_reassemble`."""
    size = size_of(de)
    kernels = softmax_by_group(logits, groups)
    products = backend.similarity(grad, de, kernel_size, groups).to(kernels.dtype) * kernels
    means = by_group(products, groups).sum(2, keepdim=True)
    grad_logits = (by_group(products, groups) - by_group(kernels, groups) * means).flatten(1, 2)
    if en is None or gate is None:
        return backend.adjoint(grad, kernels, kernel_size, groups, size), grad_logits.to(logits.dtype), None, None
    high = resize_nearest(gate, size_of(grad)).to(kernels.dtype)
    grad_de = backend.adjoint(grad, (1 - high) * kernels, kernel_size, groups, size)
    of_pixels = (grad * en).sum(1, keepdim=True, dtype=kernels.dtype) - means.sum(1)
    grad_gate = sum_of_cells(of_pixels, size)
    grad_logits = (1 - high) * grad_logits
    return grad_de, grad_logits.to(logits.dtype), (grad * high).to(en.dtype), grad_gate.to(gate.dtype)
