"""The back ends of content encoding, and what one provides."""

from collections.abc import Sequence
from typing import Any, Protocol, cast

import torch
from torch import Tensor

from denseup.ops.dispatch import Backends
from denseup.ops.encoding import cpu, reference


class Backend(Protocol):
    """A module of this folder; `limits` may be left out where it is the same as `unsupported_reasons`."""

    NAME: str

    def unsupported_reasons(self, high: Tensor, low: Tensor | None, weight: Tensor, bias: Tensor | None) -> list[str]:
        """Why it should not serve a call: it cannot, or another back end is as fast."""
        ...

    def encode(self, high: Tensor, low: Tensor | None, weight: Tensor, bias: Tensor | None) -> Tensor:
        """`[B, C, H, W]`, `[B, C, h, w]`, `[O, C, 3, 3]`, `[O]` → `[B, O, H, W]`."""
        ...

    def encode_backward(
        self, grad: Tensor, high: Tensor, low: Tensor | None, weight: Tensor, needs: Sequence[bool]
    ) -> tuple[Tensor | None, ...]:
        """Gradients of high, low, weight and bias of `encode`, of those that are needed."""
        ...


def _example(dtype: torch.dtype, device: str) -> tuple[Any, ...]:
    maps = [torch.empty(1, 16, n, n, dtype=dtype, device=device) for n in (4, 2)]
    high, low = (x.contiguous(memory_format=torch.channels_last) for x in maps)
    return high, low, high.new_empty(25, 16, 3, 3), high.new_empty(25)


BACKENDS: Backends[Backend] = Backends(
    "encoding", [cast(Backend, module) for module in (cpu, reference)], _example, bound=False
)
