"""Maps on which starts are compared."""

import torch
from torch import Tensor
from torch.nn import functional as F

CHANNELS = 32
INNER = (..., slice(6, -6), slice(6, -6))
"""Of a map raised to twice its size, what no window of up to 5×5 sees the end of the map from."""


def maps(size: tuple[int, int], smooth: bool = False, channels: int = CHANNELS) -> tuple[Tensor, Tensor]:
    """Decoder and encoder feature, 17×19 and of the given size: noise, or waves about a quarter of the map long."""
    generator = torch.Generator().manual_seed(1)
    sizes = (17, 19), size
    if not smooth:
        de, en = (torch.randn(1, channels, *s, generator=generator) for s in sizes)
        return de, en
    waves = (torch.randn(1, channels, 4, 4, generator=generator) for _ in sizes)
    de, en = (F.interpolate(x, s, mode="bicubic", align_corners=False) for x, s in zip(waves, sizes, strict=True))
    return de, en
