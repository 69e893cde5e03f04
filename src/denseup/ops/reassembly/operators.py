"""The operators of reassembly as torch sees them, `torch.ops.denseup.…`.

Back ends trust what they get: every argument is checked here. Where there is nothing to compute, no image or no
channel, no back end is asked. Results have the memory format of the first argument. The names in torch are those of the
first versions, so that programs exported with them go on running: "fused" is softmax, reassembly and, where there is
one, gate.
"""

import torch
from torch import Tensor

from denseup.ops.geometry import like_layout, new_map, size_of
from denseup.ops.reassembly import arguments, decomposition, flops, gradients
from denseup.ops.reassembly.backends import BACKENDS
from denseup.ops.registration import Gradient, register


def _reassemble(de: Tensor, kernels: Tensor, kernel_size: int, groups: int, backend: str) -> Tensor:
    if not de.numel():
        return de.new_zeros(*de.shape[:2], *kernels.shape[2:])
    return like_layout(BACKENDS.get(backend).reassemble(de, kernels, kernel_size, groups), de)


def _adjoint(
    grad: Tensor, kernels: Tensor, kernel_size: int, groups: int, height: int, width: int, backend: str
) -> Tensor:
    if not grad.numel():
        return grad.new_zeros(*grad.shape[:2], height, width)
    return like_layout(BACKENDS.get(backend).adjoint(grad, kernels, kernel_size, groups, (height, width)), grad)


def _similarity(query: Tensor, key: Tensor, kernel_size: int, groups: int, backend: str) -> Tensor:
    if not query.numel():
        return query.new_zeros(query.shape[0], groups * kernel_size**2, *query.shape[2:])
    return like_layout(BACKENDS.get(backend).similarity(query, key, kernel_size, groups), query)


def _softmax_reassemble(
    de: Tensor, logits: Tensor, en: Tensor | None, gate: Tensor | None, kernel_size: int, groups: int, backend: str
) -> Tensor:
    if not de.numel():
        return de.new_zeros(*de.shape[:2], *logits.shape[2:])
    return like_layout(BACKENDS.get(backend).softmax_reassemble(de, logits, en, gate, kernel_size, groups), de)


def _softmax_reassemble_backward(
    grad: Tensor,
    de: Tensor,
    logits: Tensor,
    en: Tensor | None,
    gate: Tensor | None,
    kernel_size: int,
    groups: int,
    backend: str,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Each in the layout of its tensor; empty for those that are None."""
    tensors = (de, logits, en, gate)
    if de.numel():
        grads = BACKENDS.get(backend).softmax_reassemble_backward(grad, *tensors, kernel_size, groups)
    else:
        grads = tuple(None if x is None else torch.zeros_like(x) for x in tensors)  # type: ignore[assignment]
    out = [
        grad.new_empty(0) if x is None or found is None else like_layout(found, x)
        for x, found in zip(tensors, grads, strict=True)
    ]
    return out[0], out[1], out[2], out[3]


def _fake_softmax_reassemble_backward(
    grad: Tensor,
    de: Tensor,
    logits: Tensor,
    en: Tensor | None,
    gate: Tensor | None,
    kernel_size: int,
    groups: int,
    backend: str,
) -> tuple[Tensor, ...]:
    tensors = (de, logits, en, gate)
    return tuple(grad.new_empty(0) if x is None else new_map(x, x.shape[1], size_of(x)) for x in tensors)


reassemble = register(
    "reassemble",
    _reassemble,
    check=arguments.check_reassemble,
    fake=lambda de, kernels, *_: new_map(de, de.shape[1], size_of(kernels)),
    composed=decomposition.reassemble,
    gradient=Gradient(gradients.save, gradients.of_reassemble),
    flops=flops.of_reassemble,
    each_image_alone=True,
)
"""`[B, C, h, w]`, `[B, G·K², H, W]` → `[B, C, H, W]`."""

adjoint = register(
    "reassemble_adjoint",
    _adjoint,
    check=arguments.check_adjoint,
    fake=lambda grad, kernels, kernel_size, groups, height, width, backend: new_map(
        grad, grad.shape[1], (height, width)
    ),
    composed=decomposition.reassemble_adjoint,
    gradient=Gradient(gradients.save, gradients.of_adjoint),
    flops=flops.of_reassemble,
    each_image_alone=True,
)
"""`[B, C, H, W]`, `[B, G·K², H, W]` → `[B, C, height, width]`."""

similarity = register(
    "local_similarity",
    _similarity,
    check=arguments.check_similarity,
    fake=lambda query, key, kernel_size, groups, backend: new_map(query, groups * kernel_size**2, size_of(query)),
    composed=decomposition.similarity,
    gradient=Gradient(gradients.save, gradients.of_similarity),
    flops=flops.of_similarity,
    each_image_alone=True,
)
"""`[B, C, H, W]`, `[B, C, h, w]` → `[B, G·K², H, W]`."""

softmax_reassemble = register(
    "fused_reassemble",
    _softmax_reassemble,
    check=arguments.check_softmax_reassemble,
    fake=lambda de, logits, *_: new_map(de, de.shape[1], size_of(logits)),
    composed=decomposition.softmax_reassemble,
    gradient=Gradient(gradients.save_all, gradients.of_softmax_reassemble),
    flops=flops.of_softmax_reassemble,
    each_image_alone=True,
)
"""`[B, C, h, w]`, `[B, G·K², H, W]`, `[B, C, H, W]` or None, `[B, 1, h, w]` or None → `[B, C, H, W]`."""

softmax_reassemble_backward = register(
    "fused_reassemble_backward",
    _softmax_reassemble_backward,
    check=arguments.check_softmax_reassemble_backward,
    fake=_fake_softmax_reassemble_backward,
    composed=decomposition.softmax_reassemble_backward,
    gradient=Gradient(gradients.save_all, gradients.of_softmax_reassemble_backward),
    flops=flops.of_softmax_reassemble_backward,
    each_image_alone=True,
)
"""Gradients of de, logits, en and gate, each in the layout of its tensor; empty for those that are None."""
