"""Neighbourhood attention in which a pixel belongs to the source pixel that its centre lies in, ⌊(y + ½)·h/H⌋.

At whole-number ratios that is `neighbourhood_attention`, which is the better way there. At others it is that of a query
with as many places for every source pixel: those of one that has fewer hold a pixel again, and are left out of the
result.
"""

import torch
from torch import Tensor

from denseup.ops.attention.functional import neighbourhood_attention
from denseup.ops.geometry import centre_index, divided_up, size_of


def attend_at_centres(query: Tensor, key: Tensor, value: Tensor, kernel_size: int, heads: int) -> Tensor:
    """Shapes as of `neighbourhood_attention`."""
    lengths = zip(size_of(value), size_of(query), strict=True)
    (of_rows, rows), (of_columns, columns) = (_places(low, high, query.device) for low, high in lengths)
    spread = _selected(query, of_rows, of_columns)
    return _selected(neighbourhood_attention(spread, key, value, kernel_size, heads), rows, columns)


def _places(length: int, output_length: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """The output index at each place, `[⌈H/h⌉·h]`, and the place of each output index, `[H]`."""
    most = divided_up(output_length, length)
    source = torch.arange(length, device=device)
    first = (2 * source * output_length + length - 1) // (2 * length)
    at_places = (first[:, None] + torch.arange(most, device=device)).clamp(max=output_length - 1).flatten()
    parents = centre_index(length, output_length, device)
    return at_places, parents * most + torch.arange(output_length, device=device) - first[parents]


def _selected(x: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """Rows and columns of `[B, C, H, W]`, channels-last."""
    found = x.permute(0, 2, 3, 1).index_select(1, rows).index_select(2, columns)
    return found.permute(0, 3, 1, 2)
