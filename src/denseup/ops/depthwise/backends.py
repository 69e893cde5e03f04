"""The back ends of depthwise convolution, and what one provides."""

from collections.abc import Sequence
from typing import Any, Protocol, cast

import torch
from torch import Tensor

from denseup.ops.depthwise import cpu, reference
from denseup.ops.dispatch import Backends


class Backend(Protocol):
    """A module of this folder."""

    NAME: str

    def unsupported_reasons(self, x: Tensor, weight: Tensor) -> list[str]:
        """Why it cannot serve a call."""
        ...

    def convolve(self, x: Tensor, weight: Tensor, stride: int, padding: int) -> Tensor:
        """`[B, C, H, W]`, `[1 or B, C, k, k]` → `[B, C, H', W']`."""
        ...

    def backward(
        self, grad: Tensor, x: Tensor, weight: Tensor, stride: int, padding: int, needs: Sequence[bool]
    ) -> tuple[Tensor | None, Tensor | None]:
        """Gradients of `x` and `weight`, of those that are needed."""
        ...


def _example(dtype: torch.dtype, device: str) -> tuple[Any, ...]:
    x = torch.empty(1, 16, 4, 4, dtype=dtype, device=device)
    return x, x[..., :3, :3]


BACKENDS: Backends[Backend] = Backends(
    "depthwise", [cast(Backend, module) for module in (cpu, reference)], _example, bound=False
)
