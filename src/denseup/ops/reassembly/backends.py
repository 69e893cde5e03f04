"""The back ends of reassembly, and what one provides."""

from typing import Any, Protocol, cast

import torch
from torch import Tensor

from denseup.ops.dispatch import Backends
from denseup.ops.geometry import Size
from denseup.ops.reassembly import cpu, mmcv, reference, triton
from denseup.ops.reassembly.contractions import Gradients


class Backend(Protocol):
    """A module of this folder; shapes as in `reference.py`."""

    NAME: str

    def unsupported_reasons(self, de: Tensor, kernel_size: int, groups: int) -> list[str]:
        """Why it cannot serve a call."""
        ...

    def reassemble(self, de: Tensor, kernels: Tensor, kernel_size: int, groups: int) -> Tensor:
        """Forward."""
        ...

    def adjoint(self, grad: Tensor, kernels: Tensor, kernel_size: int, groups: int, size: Size) -> Tensor:
        """Gradient of the features."""
        ...

    def similarity(self, query: Tensor, key: Tensor, kernel_size: int, groups: int) -> Tensor:
        """Gradient of the kernels; also local similarity itself."""
        ...

    def softmax_reassemble(
        self, de: Tensor, logits: Tensor, en: Tensor | None, gate: Tensor | None, kernel_size: int, groups: int
    ) -> Tensor:
        """Softmax, reassembly and gate. A back end without kernels for it takes `contractions.softmax_reassemble`."""
        ...

    def softmax_reassemble_backward(
        self,
        grad: Tensor,
        de: Tensor,
        logits: Tensor,
        en: Tensor | None,
        gate: Tensor | None,
        kernel_size: int,
        groups: int,
    ) -> Gradients:
        """Gradients of `softmax_reassemble`."""
        ...


def _example(dtype: torch.dtype, device: str) -> tuple[Any, ...]:
    return torch.empty(1, 16, 4, 4, dtype=dtype, device=device), 5, 1


BACKENDS: Backends[Backend] = Backends(
    "reassembly", [cast(Backend, module) for module in (cpu, triton, reference, mmcv)], _example
)
"""mmcv's operator, for comparison, serves only where it is asked for."""
