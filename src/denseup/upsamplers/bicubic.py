"""Bicubic interpolation: no parameters, no guide, any size in one step."""

from typing import Any

from torch import Tensor

from denseup.ops.bicubic import bicubic
from denseup.ops.geometry import Size
from denseup.upsamplers.base import Upsampler
from denseup.upsamplers.registry import register_upsampler


@register_upsampler("bicubic")
class Bicubic(Upsampler):
    """Bicubic interpolation with half-pixel centres (align_corners=False) and torch's coefficient of -0.75."""

    direct = True

    def upsample(self, de: Tensor, en: Tensor | None, size: Size, state: Any) -> Tensor:
        """`[B, C, h, w]` → `[B, C, *size]`."""
        return bicubic(de, size)
