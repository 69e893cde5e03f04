"""Reassembly and local similarity at a map's own resolution, of maps that are folded back at their ends.

Where the map ends, its pixels are taken again in the opposite order (`reflected`). A tap beyond the end so reads a
pixel that another tap of the same window reads: its weight may as well be added to that tap's, and its product is that
tap's. So windows with zeros outside do, and only what lies along the ends has to be touched; where graphs are made, and
on other devices than the CPU, the map is padded and the result is cut.
"""

from typing import Any, cast

import torch
from torch import Tensor
from torch.nn import functional as F

from denseup.ops import transforms
from denseup.ops.geometry import pad_by_reflection, reflected, size_of
from denseup.ops.reassembly import local_similarity, reassemble


def reassemble_folded(x: Tensor, kernels: Tensor, kernel_size: int) -> Tensor:
    """`reassemble` of a map that goes on by reflection instead of zeros.

    Args:
        x: `[B, C, H, W]`.
        kernels: weights `[B, K², H, W]`.
        kernel_size: K, odd.

    Returns:
        `[B, C, H, W]`.
    """
    edge = kernel_size // 2
    if not _is_plain(x):
        around = F.pad(kernels, (edge,) * 4)  # what surrounds the map has no weights, and is cut off again
        return _cut(reassemble(pad_by_reflection(x, edge), around, kernel_size), edge)
    return reassemble(x, _folded(kernels, edge, adjoint=False), kernel_size)


def similarity_folded(query: Tensor, key: Tensor, kernel_size: int) -> Tensor:
    """`local_similarity` with a map that goes on by reflection instead of zeros.

    Args:
        query: `[B, C, H, W]`.
        key: `[B, C, H, W]`.
        kernel_size: K, odd.

    Returns:
        `[B, K², H, W]`.
    """
    edge = kernel_size // 2
    if not _is_plain(query):
        maps = [pad_by_reflection(x, edge) for x in (query, key)]
        return _cut(local_similarity(maps[0], maps[1], kernel_size), edge)
    return _folded(local_similarity(query, key, kernel_size), edge, adjoint=True)


def _is_plain(x: Tensor) -> bool:
    """Whether no graph is made of the call, no transform or mode is at work, and there are values on the CPU.

    Elsewhere the number of pixels along the ends would have to be waited for.
    """
    return not torch.compiler.is_compiling() and transforms.nothing_looks_on(x) and x.is_cpu and x.numel() > 0


def _cut(x: Tensor, edge: int) -> Tensor:
    return x[..., edge : x.shape[2] - edge, edge : x.shape[3] - edge]


def _folded(x: Tensor, edge: int, adjoint: bool) -> Tensor:
    """Weights of taps `[B, K², H, W]` that lie outside, added to those that read the same; its adjoint copies them."""
    return cast(Tensor, _Folded.apply(x, edge, adjoint))  # type: ignore[no-untyped-call]


class _Folded(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, edge: int, adjoint: bool) -> Tensor:
        ctx.edge, ctx.adjoint = edge, adjoint
        pixels, taps = _along_the_ends(*size_of(x), edge, x.device)
        out = x.permute(0, 2, 3, 1).clone(memory_format=torch.contiguous_format)
        flat = out.view(x.shape[0], -1, x.shape[1])
        along = flat.index_select(1, pixels)
        taps = taps.expand_as(along)
        flat.index_copy_(1, pixels, along.gather(2, taps) if adjoint else _gathered_up(along, taps))
        return out.permute(0, 3, 1, 2)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        return _folded(grad, ctx.edge, not ctx.adjoint), None, None


def _gathered_up(x: Tensor, taps: Tensor) -> Tensor:
    return torch.zeros_like(x).scatter_add_(2, taps, x)


def _along_the_ends(height: int, width: int, edge: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """The pixels whose windows leave a map, and for each of their taps the one that reads the same pixel inside.

    Indices `[P]` in the flat map, and `[P, K²]`.
    """
    size = 2 * edge + 1
    inside = torch.zeros(height, width, dtype=torch.bool, device=device)
    inside[edge : height - edge, edge : width - edge] = True
    rows, columns = torch.nonzero(~inside, as_tuple=True)
    of_rows, of_columns = (
        reflected(length, edge, device)[at[:, None] + torch.arange(size, device=device)] - at[:, None] + edge
        for length, at in ((height, rows), (width, columns))
    )
    return rows * width + columns, (of_rows[:, :, None] * size + of_columns[:, None]).flatten(1)
