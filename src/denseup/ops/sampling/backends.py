"""The back ends of sampling at positions in pixels, and what one provides."""

from typing import Any, Protocol, cast

import torch
from torch import Tensor

from denseup.ops.dispatch import Backends
from denseup.ops.sampling import cpu, positions


class Backend(Protocol):
    """A module of this folder."""

    NAME: str

    def unsupported_reasons(self, x: Tensor, positions: Tensor, groups: int) -> list[str]:
        """Why it cannot serve a call."""
        ...

    def sample(self, x: Tensor, positions: Tensor, groups: int, padding: str) -> Tensor:
        """`[B, C, h, w]`, `[B, 2·G, H, W]` → `[B, C, H, W]`."""
        ...

    def sample_backward(
        self, grad: Tensor, x: Tensor, positions: Tensor, groups: int, padding: str
    ) -> tuple[Tensor, Tensor]:
        """Gradients of `x` and `positions`."""
        ...


def _example(dtype: torch.dtype, device: str) -> tuple[Any, ...]:
    x = torch.empty(1, 16, 4, 4, dtype=dtype, device=device)
    return x, x[:, :2], 1


BACKENDS: Backends[Backend] = Backends(
    "sampling", [cast(Backend, module) for module in (cpu, positions)], _example, bound=False
)
