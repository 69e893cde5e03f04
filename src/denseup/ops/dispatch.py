"""Which implementation serves a call: the argument, then `use_backend`, then DENSEUP_BACKEND, then the first able one.

A back end is a module with `NAME`, `objections(de, kernel_size, groups)` (why it cannot serve a call; empty if it
can), the three contractions of `ops.reference`, and softmax, reassembly and gate in one with its gradients
(`ops.composed`, for a back end that has no fused kernels). An explicit choice that cannot run raises with all its
reasons; the automatic choice never fails, for nothing stands against the reference.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol, cast

from torch import Tensor

from denseup.ops.geometry import Size
from denseup.ops.reassembly import cpu as cpu_backend
from denseup.ops.reassembly import mmcv as mmcv_backend
from denseup.ops.reassembly import reference
from denseup.ops.reassembly import triton as triton_backend
from denseup.ops.reassembly.contractions import Gradients

ENVIRONMENT_VARIABLE = "DENSEUP_BACKEND"


class Backend(Protocol):
    """What a back end module provides; shapes as in `ops.reference`."""

    NAME: str

    def objections(self, de: Tensor, kernel_size: int, groups: int) -> list[str]:
        """Reasons why this back end cannot serve the call."""
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

    def fused(
        self, de: Tensor, logits: Tensor, en: Tensor | None, gate: Tensor | None, kernel_size: int, groups: int
    ) -> Tensor:
        """Softmax, reassembly and gate."""
        ...

    def fused_backward(
        self,
        grad: Tensor,
        de: Tensor,
        logits: Tensor,
        en: Tensor | None,
        gate: Tensor | None,
        kernel_size: int,
        groups: int,
    ) -> Gradients:
        """Gradients of `fused`."""
        ...


_BACKENDS: dict[str, Backend] = {
    module.NAME: cast(Backend, module) for module in (cpu_backend, triton_backend, reference, mmcv_backend)
}
"""In the order in which the automatic choice tries them. Nothing stands against the reference: mmcv's operator, for
comparison, serves only where it is asked for."""
_in_use: list[str] = []  # innermost `use_backend` last; a plain list, because torch.compile can look into it


def available_backends() -> list[str]:
    """Names of the back ends, in the order in which the automatic choice tries them."""
    return list(_BACKENDS)


@contextmanager
def use_backend(name: str) -> Iterator[None]:
    """Serve every reassembly of this process, while the context lasts, with the back end `name`.

    Raises:
        ValueError: no back end has this name.
    """
    _in_use.append(get_backend(name).NAME)
    try:
        yield
    finally:
        _in_use.pop()


def get_backend(name: str) -> Backend:
    """The back end `name`; ValueError lists the valid names."""
    if name not in _BACKENDS:
        raise ValueError(f"backend {name!r} is unknown; valid: {', '.join(_BACKENDS)}")
    return _BACKENDS[name]


def choose_backend(name: str | None, de: Tensor, kernel_size: int, groups: int) -> str:
    """Name of the back end that serves this call; `name` is the caller's own choice.

    Raises:
        ValueError: an explicitly chosen back end is unknown or cannot serve the call.
    """
    explicit = name or (_in_use[-1] if _in_use else os.environ.get(ENVIRONMENT_VARIABLE))
    if explicit:
        reasons = get_backend(explicit).objections(de, kernel_size, groups)
        if reasons:
            raise ValueError(f"backend {explicit!r} cannot serve this call: {'; '.join(reasons)}")
        return explicit
    return next(name for name, backend in _BACKENDS.items() if not backend.objections(de, kernel_size, groups))
