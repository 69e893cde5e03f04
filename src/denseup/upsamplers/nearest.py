"""Nearest-neighbour interpolation: no parameters, no guide, any size in one step."""

from typing import Any

from torch import Tensor

from denseup.ops.geometry import Size
from denseup.ops.nearest import resize_nearest
from denseup.upsamplers.base import Upsampler
from denseup.upsamplers.registry import register_upsampler


@register_upsampler("nearest")
class Nearest(Upsampler):
    """Each output pixel copies its source pixel: out[c, y, x] = de[c, ⌊y·h/H⌋, ⌊x·w/W⌋]."""

    direct = True

    def upsample(self, de: Tensor, en: Tensor | None, size: Size, state: Any) -> Tensor:
        """`[B, C, h, w]` → `[B, C, *size]`."""
        return resize_nearest(de, size)
