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

from denseup.ops import transforms
from denseup.ops.geometry import Size, divided_up, like_layout, phase_slots, size_of
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
        return _pooled(en, (2, 2))

    def upsample(self, de: Tensor, en: Tensor | None, size: Size, state: Maxima | None) -> Tensor:
        """`[B, C, h, w]` → `[B, C, *size]`, zero but for one pixel of each cell."""
        assert en is not None
        halves = (-(-size[0] // 2), -(-size[1] // 2))
        if state is None or tuple(de.shape[2:]) != halves:
            state = _maxima(en, (de.shape[2], de.shape[3]))
        blame = state.blame.to(de.dtype)
        if _is_seen(de, blame) and not blame.isnan().any():  # what follows, in half the time
            return torch.where(state.marks, resize_nearest(de, size), 0.0)
        return torch.where(state.marks, resize_nearest(de + blame, size), resize_nearest(blame, size))


def _is_seen(*maps: Tensor) -> bool:
    """Whether the values of maps may be looked at: without waiting for a device, and no graph is made of it."""
    return not transforms.make_a_graph() and transforms.nothing_looks_on(*maps) and all(x.is_cpu for x in maps)


def _pooled(en: Tensor, factors: Size) -> tuple[Tensor, Maxima]:
    """Max pooling of cells of this size, the last ones smaller, and where the maxima were."""
    pooled, indices = F.max_pool2d(en, factors, ceil_mode=True, return_indices=True)
    return pooled, Maxima(like_layout(_marks(indices, en), en), _blame(pooled))


def _maxima(en: Tensor, cells: Size) -> Maxima:
    """The maximum of every cell of `[B, C, H, W]`; output pixel y lies in cell ⌊y·cells / H⌋."""
    size = size_of(en)
    factors = (divided_up(size[0], cells[0]), divided_up(size[1], cells[1]))
    fixed = not transforms.make_a_graph() and not transforms.may_be_symbols(*size, *cells)
    if fixed and _are_blocks(size, cells, factors):
        return _pooled(en.detach(), factors)[1]
    row_factor, rows = phase_slots(cells[0], en.shape[2], en.device)
    column_factor, columns = phase_slots(cells[1], en.shape[3], en.device)
    high = en.new_full((*en.shape[:2], row_factor * cells[0], en.shape[3]), -torch.inf)
    high = high.index_copy(2, rows, en.detach())
    slots = en.new_full((*high.shape[:3], column_factor * cells[1]), -torch.inf).index_copy(3, columns, high)
    pooled, indices = F.max_pool2d(slots, (row_factor, column_factor), return_indices=True)
    marks = _marks(indices, slots).index_select(2, rows).index_select(3, columns)
    return Maxima(like_layout(marks, en), _blame(pooled))


def _are_blocks(size: Size, cells: Size, factors: Size) -> bool:
    """Whether cells are blocks of `factors` pixels, but for the last ones, which may lack one.

    Cell i begins at ⌈i·size / cells⌉, which is i·factor for all of them if they lack at most one pixel together.
    """
    return all(f * c - n <= 1 for n, c, f in zip(size, cells, factors, strict=True))


def _marks(indices: Tensor, x: Tensor) -> Tensor:
    """True at the flat `indices` of each channel of `x`."""
    marks = torch.zeros_like(x, dtype=torch.bool, memory_format=torch.contiguous_format)
    indices = indices.flatten(2)
    return marks.flatten(2).scatter(2, indices, torch.ones_like(indices, dtype=torch.bool)).reshape(x.shape)


def _blame(pooled: Tensor) -> Tensor:
    return torch.where(pooled.isnan(), torch.nan, 0.0).to(pooled.dtype)
