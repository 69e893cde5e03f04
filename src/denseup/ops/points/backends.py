"""The back ends of attention over points, and what one provides."""

from typing import Any, Protocol, cast

import torch
from torch import Tensor

from denseup.ops.dispatch import Backends
from denseup.ops.points import cpu, reference

Gradients = tuple[Tensor, Tensor, Tensor]


class Backend(Protocol):
    """A module of this folder; shapes as in `reference.py`. What it gets is of one dtype."""

    NAME: str

    def unsupported_reasons(self, x: Tensor, positions: Tensor) -> list[str]:
        """Why it cannot serve a call; `x` is the map that is read."""
        ...

    def similarity(self, query: Tensor, key: Tensor, positions: Tensor) -> Tensor:
        """Products with the points."""
        ...

    def similarity_backward(self, grad: Tensor, query: Tensor, key: Tensor, positions: Tensor) -> Gradients:
        """Gradients of query, key and positions."""
        ...

    def gather(self, value: Tensor, weights: Tensor, positions: Tensor) -> Tensor:
        """Sums over the points."""
        ...

    def gather_backward(self, grad: Tensor, value: Tensor, weights: Tensor, positions: Tensor) -> Gradients:
        """Gradients of value, weights and positions."""
        ...


def _example(dtype: torch.dtype, device: str) -> tuple[Any, ...]:
    x = torch.empty(1, 16, 4, 4, dtype=dtype, device=device)
    return x, x.new_empty(1, 3, 2, 1, 8, 8)


BACKENDS: Backends[Backend] = Backends(
    "points", [cast(Backend, module) for module in (cpu, reference)], _example, bound=False
)
