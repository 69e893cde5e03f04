"""Max unpooling: every value goes back to where its encoder counterpart had its maximum. Zeiler and Fergus, ECCV 2014,
arXiv:1311.2901; Badrinarayanan et al., SegNet, PAMI 2017, arXiv:1511.00561.

Written as one of the family that IndexNet describes (`indexnet.py`): up = index map · nearest(de), where the index map
is 1 at the maximum of each cell and 0 elsewhere. At ×2 this is torch's `max_unpool2d`. In a network that pools by this
operator the indices are those of the pooling; elsewhere, and at any other ratio, the guide is pooled for them: every
pixel of `de` owns the cell of `en` that nearest-neighbour interpolation would give it.
No gradient reaches the guide through indices, only through the pooled map. Where a cell of the guide holds a NaN,
nobody knows where the value of `de` belongs, and the whole cell is NaN.
"""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from denseup.ops.geometry import Size, like_layout, phase_slots
from denseup.ops.nearest import resize_nearest
from denseup.upsamplers.base import Upsampler
from denseup.upsamplers.registry import register_upsampler


class Maxima(NamedTuple):
    """Where the maxima of the guide's cells are."""

    marks: Tensor
    """True at the maximum of every cell, `[B, C, H, W]`."""
    blame: Tensor
    """NaN for the cells that hold one, else 0, `[B, C, h, w]`."""


@register_upsampler("max_unpool")
class MaxUnpool(Upsampler):
    """Max unpooling, paired with 2×2 max pooling; no parameters.

    Args:
        de_channels, en_channels, scale_factor: see `Upsampler`; the channels must be equal, and the size is always
            that of the guide.
    """

    guided = True
    paired = True
    state_type = Maxima
    equal_channels_only = "each channel of de goes where the same channel of en had its maximum"

    def downsample(self, en: Tensor) -> tuple[Tensor, Maxima]:
        """2×2 max pooling, `[B, C, H, W]` → `[B, C, ⌈H/2⌉, ⌈W/2⌉]`; the state marks the maxima."""
        self.check_encoder(en)
        pooled, indices = F.max_pool2d(en, 2, ceil_mode=True, return_indices=True)
        return pooled, Maxima(like_layout(_marks(indices, en), en), _blame(pooled))

    def upsample(self, de: Tensor, en: Tensor | None, size: Size, state: Maxima | None) -> Tensor:
        """`[B, C, h, w]` → `[B, C, *size]`, zero but for one pixel of each cell."""
        assert en is not None
        halves = (-(-size[0] // 2), -(-size[1] // 2))
        if state is None or tuple(de.shape[2:]) != halves:
            state = _maxima(en, (de.shape[2], de.shape[3]))
        blame = state.blame.to(de.dtype)
        return torch.where(state.marks, resize_nearest(de + blame, size), resize_nearest(blame, size))


def _maxima(en: Tensor, cells: Size) -> Maxima:
    """The maximum of every cell of `[B, C, H, W]`; output pixel y lies in cell ⌊y·cells / H⌋."""
    row_factor, rows = phase_slots(cells[0], en.shape[2], en.device)
    column_factor, columns = phase_slots(cells[1], en.shape[3], en.device)
    high = en.new_full((*en.shape[:2], row_factor * cells[0], en.shape[3]), -torch.inf)
    high = high.index_copy(2, rows, en.detach())
    slots = en.new_full((*high.shape[:3], column_factor * cells[1]), -torch.inf).index_copy(3, columns, high)
    pooled, indices = F.max_pool2d(slots, (row_factor, column_factor), return_indices=True)
    marks = _marks(indices, slots).index_select(2, rows).index_select(3, columns)
    return Maxima(like_layout(marks, en), _blame(pooled))


def _marks(indices: Tensor, x: Tensor) -> Tensor:
    """True at the flat `indices` of each channel of `x`."""
    marks = torch.zeros_like(x, dtype=torch.bool, memory_format=torch.contiguous_format)
    indices = indices.flatten(2)
    return marks.flatten(2).scatter(2, indices, torch.ones_like(indices, dtype=torch.bool)).reshape(x.shape)


def _blame(pooled: Tensor) -> Tensor:
    return torch.where(pooled.isnan(), torch.nan, 0.0).to(pooled.dtype)
