"""The back ends of neighbourhood attention, and what one provides."""

from typing import Any, Protocol, cast

import torch
from torch import Tensor

from denseup.ops.attention import cpu, reference, triton
from denseup.ops.dispatch import Backends

Gradients = tuple[Tensor, Tensor, Tensor]
"""Of query, key and value."""


class Backend(Protocol):
    """A module of this folder; shapes as in `reference.py`."""

    NAME: str

    def unsupported_reasons(self, query: Tensor, kernel_size: int, heads: int) -> list[str]:
        """Why it cannot serve a call."""
        ...

    def attention(
        self, query: Tensor, key: Tensor, value: Tensor, kernel_size: int, heads: int, scale: float
    ) -> Tensor:
        """Forward."""
        ...

    def attention_backward(
        self, grad: Tensor, query: Tensor, key: Tensor, value: Tensor, kernel_size: int, heads: int, scale: float
    ) -> Gradients:
        """Gradients of `attention`, each in the dtype of its map."""
        ...


def _example(dtype: torch.dtype, device: str) -> tuple[Any, ...]:
    return torch.empty(1, 16, 4, 4, dtype=dtype, device=device), 5, 1


BACKENDS: Backends[Backend] = Backends(
    "attention", [cast(Backend, module) for module in (cpu, triton, reference)], _example
)
