"""Pixel shuffle (sub-pixel convolution). Shi et al., CVPR 2016, arXiv:1609.05158.

A convolution gives s² values for every channel and low-resolution pixel; shuffled, they fill its s×s output pixels.
Equals `PixelShufflePack` of mmcv (Apache-2.0; nothing is taken from it).

Names of mmcv → ours: upsample_kernel → encoder_kernel_size; upsample_conv → encode.
"""

from typing import Any

import torch
from torch import Tensor, nn

from denseup.ops.geometry import Size, pixel_shuffle
from denseup.upsamplers.arguments import odd_option
from denseup.upsamplers.base import Upsampler
from denseup.upsamplers.registry import register_upsampler
from denseup.upsamplers.start import Start, bilinear_kernels


@register_upsampler("pixel_shuffle")
class PixelShuffle(Upsampler):
    """Convolution C → C·s², then shuffle (eq. 3-4).

    Args:
        de_channels, en_channels, scale_factor, start: see `Upsampler`; the guide is not looked at.
        encoder_kernel_size: of the convolution, odd.
    """

    exact_factor_only = "pixel shuffle fills s×s output pixels for every input pixel, s a whole number"
    official_keys = {"upsample_conv": "encode"}

    def __init__(
        self,
        de_channels: int,
        en_channels: int | None = None,
        scale_factor: int = 2,
        *,
        encoder_kernel_size: int = 3,
        start: Start = "published",
    ) -> None:
        super().__init__(de_channels, en_channels, scale_factor, start=start)
        encoder_kernel_size = odd_option("encoder_kernel_size", encoder_kernel_size)
        outputs = self.de_channels * self.scale_factor**2
        self.encode = nn.Conv2d(self.de_channels, outputs, encoder_kernel_size, padding=encoder_kernel_size // 2)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Xavier uniform weights, zero bias."""
        nn.init.xavier_uniform_(self.encode.weight)
        assert self.encode.bias is not None
        nn.init.zeros_(self.encode.bias)
        self.apply_start()

    def start_neutral(self) -> None:
        """Bilinear interpolation of each channel by itself; with a 1×1 kernel, nearest-neighbour interpolation."""
        kernels = bilinear_kernels(self.encode.kernel_size[0], self.scale_factor)
        weights = torch.einsum("oc,pij->opcij", torch.eye(self.de_channels, dtype=kernels.dtype), kernels)
        with torch.no_grad():
            self.encode.weight.copy_(weights.flatten(0, 1))

    def upsample(self, de: Tensor, en: Tensor | None, size: Size, state: Any) -> Tensor:
        """`[B, C, h, w]` → `[B, C, s·h, s·w]`."""
        return pixel_shuffle(self.encode(de), self.scale_factor)
