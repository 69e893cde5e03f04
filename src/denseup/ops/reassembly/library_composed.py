"""What the operators of `ops.library` are made of, for `torch.func` and forward mode (`ops.transforms`)."""

from torch import Tensor

from denseup.ops.arguments import check_adjoint, check_fused, check_fused_backward, check_kernels, check_query
from denseup.ops.reassembly import decomposition as decompositions
from denseup.ops.reassembly import operators as library
from denseup.ops.transforms import register_composed


def _reassemble(de: Tensor, kernels: Tensor, kernel_size: int, groups: int, backend: str) -> Tensor:
    check_kernels(de, kernels, kernel_size, groups, "kernels")
    return decompositions.reassemble(de, kernels, kernel_size, groups)


def _adjoint(
    grad: Tensor, kernels: Tensor, kernel_size: int, groups: int, height: int, width: int, backend: str
) -> Tensor:
    check_adjoint(grad, kernels, kernel_size, groups, (height, width))
    return decompositions.adjoint(grad, kernels, kernel_size, groups, (height, width))


def _similarity(query: Tensor, key: Tensor, kernel_size: int, groups: int, backend: str) -> Tensor:
    check_query(query, key, kernel_size, groups)
    return decompositions.similarity(query, key, kernel_size, groups)


def _fused(
    de: Tensor, logits: Tensor, en: Tensor | None, gate: Tensor | None, kernel_size: int, groups: int, backend: str
) -> Tensor:
    check_fused(de, logits, en, gate, kernel_size, groups)
    return decompositions.fused(de, logits, en, gate, kernel_size, groups, backend)


def _fused_backward(
    grad: Tensor,
    de: Tensor,
    logits: Tensor,
    en: Tensor | None,
    gate: Tensor | None,
    kernel_size: int,
    groups: int,
    backend: str,
) -> tuple[Tensor, ...]:
    check_fused_backward(grad, de, logits, en, gate, kernel_size, groups)
    found = decompositions.fused_backward(grad, de, logits, en, gate, kernel_size, groups)
    return tuple(grad.new_empty(0) if x is None else x for x in found)


register_composed(library.reassemble, _reassemble)
register_composed(library.adjoint, _adjoint)
register_composed(library.similarity, _similarity)
register_composed(library.fused, _fused)
register_composed(library.fused_backward, _fused_backward)
