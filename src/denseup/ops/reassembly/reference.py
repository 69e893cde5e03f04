"""Reference back end: plain torch, any device, any floating dtype, any ratio; the truth that the others are held to.

Reassembly is trilinear in (output gradient, features, kernels); its three contractions are this module's functions:

    reassemble:  out[c, y, x]    = Σ_t  de[c, y_t, x_t] · kernels[g·K² + t, y, x]
    adjoint:     de[c, y_t, x_t] += Σ   grad[c, y, x] · kernels[g·K² + t, y, x]       (gradient of the features)
    similarity:  sim[g·K² + t, y, x] = Σ_{c in group g} query[c, y, x] · key[c, y_t, x_t]   (gradient of the kernels)

with (y_t, x_t) the t-th pixel of the K×K window around the source pixel of (y, x), zero outside the map.

High-resolution maps are laid out by phase, `[B, C, s_h, s_w, h, w]`: then one tap of the window is one shifted view of
the small map, broadcast over the phases, and no K²-fold copy is ever made. A ratio that is no integer becomes one by
empty slots (`geometry.phase_slots`), filled with zeros.
Half-precision inputs are accumulated in float32.
"""

import itertools
import sys
from collections.abc import Iterator
from typing import cast

import torch
from torch import Tensor
from torch.nn import functional as F

from denseup.ops.arithmetic import accumulate, by_group
from denseup.ops.geometry import Size, phase_slots, size_of
from denseup.ops.reassembly import contractions

NAME = "reference"


def unsupported_reasons(de: Tensor, kernel_size: int, groups: int) -> list[str]:
    """Why this back end cannot serve a call: nothing ever stands against it."""
    return []


def reassemble(de: Tensor, kernels: Tensor, kernel_size: int, groups: int) -> Tensor:
    """Weighted sum of the K×K window: `[B, C, h, w]`, `[B, G·K², H, W]` → `[B, C, H, W]`."""
    output_size = size_of(kernels)
    padded = _pad(accumulate(de), kernel_size, groups)
    taps = _split(_to_phases(accumulate(kernels), size_of(de)), groups, 1, kernel_size**2)
    batch, height, width = de.shape[0], *size_of(de)
    out = padded.new_zeros(batch, groups, de.shape[1] // groups, *taps.shape[4:6], height, width)
    for tap, window in _windows(padded, kernel_size, (height, width)):
        out.addcmul_(taps[:, :, :, tap], window)
    return _from_phases(out.flatten(1, 2), output_size).to(de.dtype)


def adjoint(grad: Tensor, kernels: Tensor, kernel_size: int, groups: int, size: Size) -> Tensor:
    """Adjoint of `reassemble` in the features: `[B, C, H, W]`, `[B, G·K², H, W]` → `[B, C, *size]`."""
    phases = by_group(_to_phases(accumulate(grad), size), groups)
    taps = _split(_to_phases(accumulate(kernels), size), groups, 1, kernel_size**2)
    radius = kernel_size // 2
    out = phases.new_zeros(*phases.shape[:3], size[0] + 2 * radius, size[1] + 2 * radius)
    for tap, window in _windows(out, kernel_size, size):
        for row, column in itertools.product(*map(range, phases.shape[3:5])):
            window.addcmul_(phases[:, :, :, row, column], taps[:, :, :, tap, row, column])
    inner = out[..., radius : radius + size[0], radius : radius + size[1]]
    return inner.reshape(grad.shape[0], grad.shape[1], *size).to(grad.dtype).contiguous()


def similarity(query: Tensor, key: Tensor, kernel_size: int, groups: int) -> Tensor:
    """Inner products with the K×K window of the key: `[B, C, H, W]`, `[B, C, h, w]` → `[B, G·K², H, W]`."""
    size = size_of(key)
    phases = by_group(_to_phases(accumulate(query), size), groups)
    padded = _pad(accumulate(key), kernel_size, groups)
    out = phases.new_empty(query.shape[0], groups, kernel_size**2, *phases.shape[3:])
    products = torch.empty_like(phases)  # one for all taps: to allocate it each time takes longer than to fill it
    for tap, window in _windows(padded, kernel_size, size):
        torch.sum(torch.mul(phases, window, out=products), 2, out=out[:, :, tap])
    return _from_phases(out.flatten(1, 2), size_of(query)).to(query.dtype)


def softmax_reassemble(
    de: Tensor, logits: Tensor, en: Tensor | None, gate: Tensor | None, kernel_size: int, groups: int
) -> Tensor:
    """Softmax, reassembly and gate: see `contractions.py`."""
    return contractions.softmax_reassemble(_SELF, de, logits, en, gate, kernel_size, groups)


def softmax_reassemble_backward(
    grad: Tensor,
    de: Tensor,
    logits: Tensor,
    en: Tensor | None,
    gate: Tensor | None,
    kernel_size: int,
    groups: int,
) -> contractions.Gradients:
    """Gradients of `softmax_reassemble`: see `contractions.py`."""
    return contractions.softmax_reassemble_backward(_SELF, grad, de, logits, en, gate, kernel_size, groups)


def _split(x: Tensor, *channels: int) -> Tensor:
    """Split the channel dimension into several."""
    return x.reshape(x.shape[0], *channels, *x.shape[2:])


def _pad(x: Tensor, kernel_size: int, groups: int) -> Tensor:
    """Zero-pad by K//2 and open the group and phase dimensions: `[B, G, C/G, 1, 1, h + 2r, w + 2r]`."""
    radius = kernel_size // 2
    padded = F.pad(x, (radius, radius, radius, radius))
    return by_group(padded.contiguous(), groups)[:, :, :, None, None]


def _windows(padded: Tensor, kernel_size: int, size: Size) -> Iterator[tuple[int, Tensor]]:
    """The K² shifted views of a padded map, each with its tap index, row by row."""
    for tap in range(kernel_size**2):
        row, column = divmod(tap, kernel_size)
        yield tap, padded[..., row : row + size[0], column : column + size[1]]


def _to_phases(x: Tensor, size: Size) -> Tensor:
    """`[B, C, H, W]` → `[B, C, s_h, s_w, h, w]`, zeros in slots that no output pixel fills."""
    (height, width), (out_height, out_width) = size, size_of(x)
    row_factor, rows = phase_slots(height, out_height, x.device)
    column_factor, columns = phase_slots(width, out_width, x.device)
    if (row_factor * height, column_factor * width) != (out_height, out_width):
        filled = x.new_zeros(*x.shape[:2], row_factor * height, column_factor * width)
        filled[:, :, rows[:, None], columns] = x
        x = filled
    x = x.reshape(*x.shape[:2], height, row_factor, width, column_factor)
    return x.permute(0, 1, 3, 5, 2, 4).contiguous()


def _from_phases(x: Tensor, output_size: Size) -> Tensor:
    """`[B, C, s_h, s_w, h, w]` → `[B, C, H, W]`: the inverse of `_to_phases`."""
    row_factor, column_factor, height, width = x.shape[2:]
    x = x.permute(0, 1, 4, 2, 5, 3).reshape(*x.shape[:2], height * row_factor, width * column_factor)
    if size_of(x) == output_size:
        return x
    rows = phase_slots(height, output_size[0], x.device)[1]
    columns = phase_slots(width, output_size[1], x.device)[1]
    return x.index_select(2, rows).index_select(3, columns)


_SELF = cast(contractions.Contractions, sys.modules[__name__])
