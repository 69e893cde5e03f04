"""The back ends of 1×1 convolutions, and what one provides."""

from typing import Any, Protocol, cast

import torch
from torch import Tensor

from denseup.ops.dispatch import Backends
from denseup.ops.pointwise import cpu, reference


class Backend(Protocol):
    """A module of this folder; `limits` may be left out where it is the same as `unsupported_reasons`."""

    NAME: str

    def unsupported_reasons(
        self, x: Tensor, weight: Tensor, bias: Tensor | None, to: Tensor | None = None
    ) -> list[str]:
        """Why it should not serve a call: it cannot, or another back end is as fast."""
        ...

    def convolve(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        """`[B, C, H, W]`, `[O, C, 1, 1]`, `[O]` → `[B, O, H, W]`, channels-last, but for the reference's."""
        ...

    def backward(
        self, grad: Tensor, x: Tensor, weight: Tensor, to: Tensor | None, parameters: bool, add: bool = True
    ) -> tuple[Tensor, Tensor]:
        """Gradients of weight and bias if asked for (`parameters`), else empty; that of `x` is added to `to`, if given.

        Args:
            grad: of the result, `[B, O, H, W]`.
            x: `[B, C, H, W]`.
            weight: `[O, C, 1, 1]`.
            to: `[B, C, H, W]`; written to.
            parameters: whether those of weight and bias are wanted.
            add: whether to add to what is in `to`; else it is written over.
        """
        ...


def _example(dtype: torch.dtype, device: str) -> tuple[Any, ...]:
    x = torch.empty(1, 16, 4, 4, dtype=dtype, device=device).contiguous(memory_format=torch.channels_last)
    return x, x.new_empty(8, 16, 1, 1), x.new_empty(8)


BACKENDS: Backends[Backend] = Backends(
    "pointwise", [cast(Backend, module) for module in (cpu, reference)], _example, bound=False
)
