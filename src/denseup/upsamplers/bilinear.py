"""Bilinear interpolation, the baseline of every comparison: no parameters, no guide, any size in one step."""

from typing import Any

from torch import Tensor
from torch.nn import functional as F

from denseup.ops import turning
from denseup.ops.geometry import Size
from denseup.upsamplers.base import Upsampler
from denseup.upsamplers.registry import register_upsampler


@register_upsampler("bilinear")
class Bilinear(Upsampler):
    """Bilinear interpolation with half-pixel centres (align_corners=False)."""

    direct = True
    works_channels_last = True

    def upsample(self, de: Tensor, en: Tensor | None, size: Size, state: Any) -> Tensor:
        """`[B, C, h, w]` → `[B, C, *size]`."""
        return turning.gradient_in_layout(F.interpolate(de, size=size, mode="bilinear", align_corners=False))
