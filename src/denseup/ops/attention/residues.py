"""Neighbourhood attention as NAF has it at ratios that are no whole numbers (Chambon et al., arXiv:2511.18452).

Keys and values are enlarged to the query's size, row y being row ⌊(y + ½)·h/H⌋ of the map, and every pixel attends to
the K×K neighbours of its own residue modulo d = ⌊H/h⌋, of columns likewise, in windows that stay inside. At
whole-number ratios that is `neighbourhood_attention`, which is the better way there.
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor

from denseup.ops.arithmetic import accumulate, unflatten
from denseup.ops.attention.functional import neighbourhood_attention
from denseup.ops.geometry import centre_index, size_of


def attend_by_residue(query: Tensor, key: Tensor, value: Tensor, kernel_size: int, heads: int) -> Tensor:
    """By `neighbourhood_attention` within each class of pixels of one residue; shapes as there.

    Classes with as many rows and columns are images of one batch. Rows have two lengths at most, and columns: these are
    four batches.
    """
    (height, width), low = size_of(query), size_of(value)
    rows, columns = Residues(height, height // low[0]), Residues(width, width // low[1])
    of_rows = rows.split(centre_index(low[0], height, query.device), 0)
    of_columns = columns.split(centre_index(low[1], width, query.device), 0)
    queries, keys, values = (x.permute(0, 2, 3, 1) for x in (query, key, value))
    bands = []
    for band, of_row in zip(rows.split(queries, 1), of_rows, strict=True):
        found = []
        for part, of_column in zip(columns.split(band, 3), of_columns, strict=True):
            maps = [_as_images(x) for x in (part, *(_gathered(x, of_row, of_column) for x in (keys, values)))]
            attended = neighbourhood_attention(maps[0], maps[1], maps[2], kernel_size, heads)
            found.append(_as_classes(attended, of_row.shape[1], of_column.shape[1]))
        bands.append(columns.join(found, 3))
    return rows.join(bands, 1).permute(0, 3, 1, 2)


class Residues(NamedTuple):
    """The classes of 0 … length - 1 modulo `step`; the first length modulo step of them are longer by one."""

    length: int
    step: int

    def split(self, x: Tensor, dim: int) -> list[Tensor]:
        """A dimension of this length as two, places and residues: of the longer classes, if any, and of the others."""
        count, longer = self.length // self.step, self.length % self.step  # symbols have no divmod
        whole, rest = torch.split(x, [count * self.step, longer], dim)
        whole = unflatten(whole, dim, (count, self.step))
        if not longer:
            return [whole]
        long, short = torch.split(whole, [longer, self.step - longer], dim + 1)
        return [torch.cat([long, rest.unsqueeze(dim)], dim), short]

    def join(self, parts: list[Tensor], dim: int) -> Tensor:
        """The inverse of `split`."""
        if len(parts) == 1:
            return parts[0].flatten(dim, dim + 1)
        long, rest = torch.split(parts[0], [self.length // self.step, 1], dim)
        whole = torch.cat([long, parts[1]], dim + 1)
        return torch.cat([whole.flatten(dim, dim + 1), rest.squeeze(dim)], dim)


def _gathered(x: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """Pixels of `[B, h, w, C]` by tables of rows `[n, k]` and columns `[m, l]`: `[B, n, k, m, l, C]`."""
    found = x.index_select(1, rows.flatten()).index_select(2, columns.flatten())
    return found.reshape(x.shape[0], *rows.shape, *columns.shape, x.shape[3])


def _as_images(x: Tensor) -> Tensor:
    """`[B, n, k, m, l, C]`, k·l classes of n×m pixels → `[B·k·l, C, n, m]`, channels-last."""
    return x.permute(0, 2, 4, 1, 3, 5).flatten(0, 2).permute(0, 3, 1, 2)


def _as_classes(x: Tensor, of_rows: int, of_columns: int) -> Tensor:
    """The inverse of `_as_images`, for k and l classes."""
    batch = x.shape[0] // (of_rows * of_columns)
    apart = unflatten(x.permute(0, 2, 3, 1), 0, (batch, of_rows, of_columns))
    return apart.permute(0, 3, 1, 4, 2, 5)


def attend_by_index(query: Tensor, key: Tensor, value: Tensor, kernel_size: int, heads: int) -> Tensor:
    """The same from tables of neighbours, for graphs of torch's operators that take any size."""
    tables = [
        _neighbours(low, out, kernel_size, query.device)
        for low, out in zip(size_of(value), size_of(query), strict=True)
    ]
    (rows, no_row), (columns, no_column) = tables

    def band(x: Tensor, tap: int) -> Tensor:
        """`[B, N, C/N, H, W, K]`: what lies in row `tap` of all windows."""
        beside = x.index_select(2, rows[:, tap]).index_select(3, columns.flatten())
        return accumulate(beside).reshape(x.shape[0], heads, -1, *size_of(query), kernel_size)

    asking = unflatten(accumulate(query), 1, (heads, -1)).unsqueeze(-1) / math.sqrt(query.shape[1] // heads)
    logits = torch.stack([(asking * band(key, tap)).sum(2) for tap in range(kernel_size)], 4)
    nowhere = no_row[:, None, :, None] | no_column[:, None, :]
    weights = logits.masked_fill(nowhere, -torch.inf).flatten(4).softmax(4)
    weights = unflatten(weights, 4, (kernel_size, kernel_size))
    rows_of_sums = [(weights[..., tap, :].unsqueeze(2) * band(value, tap)).sum(5) for tap in range(kernel_size)]
    return torch.stack(rows_of_sums).sum(0).flatten(1, 2).to(value.dtype)


def _neighbours(length: int, output_length: int, kernel_size: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Source indices of the window of each output index, `[output_length, K]`, and which of them are none."""
    step = output_length // length
    outputs = torch.arange(output_length, device=device)
    residue = outputs - outputs // step * step  # exporters have no remainder of a size
    count = (output_length - residue + step - 1) // step
    first = torch.minimum((outputs // step - kernel_size // 2).clamp(min=0), (count - kernel_size).clamp(min=0))
    place, count = first[:, None] + torch.arange(kernel_size, device=device), count[:, None]
    at = torch.minimum(place, count - 1) * step + residue[:, None]
    return (2 * at + 1) * length // (2 * output_length), place >= count
