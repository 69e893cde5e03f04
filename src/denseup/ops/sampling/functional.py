"""Public function: check the arguments, turn positions into torch's coordinates, call the operator."""

from typing import cast

import torch
from torch import Tensor

from denseup.ops import transforms
from denseup.ops.arguments import check_device, check_map, whole_number
from denseup.ops.dispatch import REFERENCE
from denseup.ops.sampling.arguments import check_padding
from denseup.ops.sampling.backends import BACKENDS
from denseup.ops.sampling.grid import by_grid
from denseup.ops.sampling.operators import sample, sample_positions


def sample_bilinear(x: Tensor, positions: Tensor, groups: int = 1, padding: str = "border") -> Tensor:
    """Read a map at given positions, by bilinear interpolation.

    Args:
        x: map `[B, C, h, w]`.
        positions: `[B, 2·G, H, W]`, the G columns first, then the G rows, in pixels of `x`: (0, 0) is the centre of
            the first pixel. Compute them in float32 at least: bfloat16 has no fractions of a pixel beyond column 128.
        groups: G groups of channels, each read at positions of its own.
        padding: what is outside the map: `border`, its nearest pixel, or `zeros`. Half a pixel outside, the one reads
            the border pixel and the other half of it.

    Returns:
        `[B, C, H, W]` with the dtype of `x`; interpolated in the wider of the two dtypes, at least float32. NaN where a
        position is; an infinite position is one far outside. At whole positions the derivative is that towards the next
        pixel; with padding `border` there is none at the first and the last.

    Raises:
        ValueError: an argument has a wrong shape or value; the message names it.
    """
    check_padding(padding)
    groups = whole_number("groups", groups)
    check_map("x", x)
    check_map("positions", positions, "[B, 2·G, H, W]")
    if x.shape[1] % groups:
        raise ValueError(f"x is {list(x.shape)}, expected [B, C, h, w] with C a multiple of groups, {groups}")
    if positions.shape[0] != x.shape[0] or positions.shape[1] != 2 * groups:
        raise ValueError(f"positions is {list(positions.shape)}, expected [{x.shape[0]}, {2 * groups}, H, W]")
    check_device("positions", positions, "x", x)
    dtype = torch.promote_types(torch.promote_types(x.dtype, positions.dtype), torch.float32)
    wide, at = x.to(dtype), positions.to(dtype)
    apart = transforms.is_taken_apart()
    if not apart:
        chosen = BACKENDS.choose(None, wide, at, groups)
        if chosen != REFERENCE:
            return cast(Tensor, sample_positions(wide, at, groups, padding, chosen)).to(x.dtype)
    return by_grid(sample, wide, at, groups, padding, slopes=not apart).to(x.dtype)
