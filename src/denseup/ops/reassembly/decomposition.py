"""The operators of reassembly in torch's own: for exporters, `torch.func` and forward mode (`ops.registration`).

All but `adjoint` take the arguments of their operator; `backend` makes no difference here.
"""

import sys
from collections.abc import Iterator
from typing import cast

from torch import Tensor

from denseup.ops.geometry import Size, size_of, source_index
from denseup.ops.reassembly import contractions
from denseup.ops.windows import contract, correlate, spread, windows


def reassemble(de: Tensor, kernels: Tensor, kernel_size: int, groups: int, backend: str = "") -> Tensor:
    """`[B, C, h, w]`, `[B, G·K², H, W]` → `[B, C, H, W]`."""
    return contract(_raised(de, kernels, kernel_size, groups), kernels, groups).to(de.dtype)


def adjoint(grad: Tensor, kernels: Tensor, kernel_size: int, groups: int, size: Size) -> Tensor:
    """`[B, C, H, W]`, `[B, G·K², H, W]` → `[B, C, *size]`."""
    rows, columns = (source_index(*lengths, grad.device) for lengths in zip(size, size_of(grad), strict=True))
    return spread(grad, kernels, kernel_size, groups, rows, columns, size)


def reassemble_adjoint(
    grad: Tensor, kernels: Tensor, kernel_size: int, groups: int, height: int, width: int, backend: str = ""
) -> Tensor:
    """`[B, C, H, W]`, `[B, G·K², H, W]` → `[B, C, height, width]`."""
    return adjoint(grad, kernels, kernel_size, groups, (height, width))


def similarity(query: Tensor, key: Tensor, kernel_size: int, groups: int, backend: str = "") -> Tensor:
    """`[B, C, H, W]`, `[B, C, h, w]` → `[B, G·K², H, W]`."""
    return correlate(query, _raised(key, query, kernel_size, groups), groups)


def softmax_reassemble(
    de: Tensor,
    logits: Tensor,
    en: Tensor | None,
    gate: Tensor | None,
    kernel_size: int,
    groups: int,
    backend: str = "",
) -> Tensor:
    """Softmax, reassembly and gate: see `contractions.py`."""
    return contractions.softmax_reassemble(_SELF, de, logits, en, gate, kernel_size, groups)


def softmax_reassemble_backward(
    grad: Tensor,
    de: Tensor,
    logits: Tensor,
    en: Tensor | None,
    gate: Tensor | None,
    kernel_size: int,
    groups: int,
    backend: str = "",
) -> tuple[Tensor, ...]:
    """Gradients of `softmax_reassemble`; empty for what is None."""
    found = contractions.softmax_reassemble_backward(_SELF, grad, de, logits, en, gate, kernel_size, groups)
    return tuple(grad.new_empty(0) if x is None else x for x in found)


def _raised(low: Tensor, high: Tensor, kernel_size: int, groups: int) -> Iterator[Tensor]:
    """The windows around the source pixel of every pixel of `high`."""
    rows, columns = (source_index(*lengths, low.device) for lengths in zip(size_of(low), size_of(high), strict=True))
    return windows(low, kernel_size, groups, rows, columns)


_SELF = cast(contractions.Contractions, sys.modules[__name__])
