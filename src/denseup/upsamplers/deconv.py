"""Transposed convolution ("deconvolution"). Zeiler et al., CVPR 2010; Long et al., FCN, CVPR 2015, arXiv:1411.4038.

Every low-resolution pixel paints a learned K×K patch, s pixels apart. Only a whole factor s means anything here, for
the patches of all pixels are one and the same. As in FCN, the weights start as bilinear interpolation of each channel,
so that training starts from the baseline of every comparison. (The matting network leaves them alone: its common
initialisation is for ordinary convolutions.)
"""

from typing import Any

import torch
from torch import Tensor, nn

from denseup.ops.geometry import Size
from denseup.upsamplers.arguments import whole_option
from denseup.upsamplers.base import Upsampler
from denseup.upsamplers.registry import register_upsampler
from denseup.upsamplers.start import Start


@register_upsampler("deconv")
class Deconv(Upsampler):
    """Transposed convolution C → C with stride `scale_factor`.

    Args:
        de_channels, en_channels, scale_factor, start: see `Upsampler`; the guide is not looked at.
        kernel_size: K ≥ scale_factor; None means 2s - (s mod 2), the size of the bilinear kernel.

    Raises:
        ValueError: kernel_size is less than scale_factor, which would leave output pixels that nothing reaches.
    """

    exact_factor_only = "a transposed convolution has one kernel for all pixels, a whole number of pixels apart"

    def __init__(
        self,
        de_channels: int,
        en_channels: int | None = None,
        scale_factor: int = 2,
        *,
        kernel_size: int | None = None,
        start: Start = "published",
    ) -> None:
        super().__init__(de_channels, en_channels, scale_factor, start=start)
        de_channels, scale_factor = self.de_channels, self.scale_factor
        if kernel_size is None:
            kernel_size = 2 * scale_factor - scale_factor % 2
        kernel_size = whole_option("kernel_size", kernel_size)
        if kernel_size < scale_factor:
            raise ValueError(f"kernel_size is {kernel_size}, expected at least scale_factor, {scale_factor}")
        surplus = kernel_size - scale_factor
        padding = -(-surplus // 2)
        self.conv = nn.ConvTranspose2d(
            de_channels, de_channels, kernel_size, scale_factor, padding, output_padding=2 * padding - surplus
        )
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Bilinear interpolation of each channel by itself."""
        assert self.conv.bias is not None
        nn.init.zeros_(self.conv.bias)
        self._paint(self._tent())
        self.apply_start()

    def start_neutral(self) -> None:
        """Weights that add up to 1 at every sub-position, also in a kernel that is smaller than the bilinear one."""
        tent = self._tent()
        position = torch.arange(len(tent)) % self.scale_factor
        self._paint(tent / tent.new_zeros(self.scale_factor).index_add(0, position, tent)[position])

    def _tent(self) -> Tensor:
        """The bilinear kernel in one direction, `[K]`."""
        middle = self.conv.padding[0] + (self.scale_factor - 1) / 2  # type: ignore[operator]
        offset = torch.arange(self.conv.kernel_size[0], dtype=torch.float32) - middle
        return (1 - offset.abs() / self.scale_factor).clamp(min=0)

    def _paint(self, weights: Tensor) -> None:
        """Let every channel be raised by itself, with these weights in either direction."""
        with torch.no_grad():
            self.conv.weight.copy_(torch.eye(self.de_channels)[:, :, None, None] * torch.outer(weights, weights))

    def upsample(self, de: Tensor, en: Tensor | None, size: Size, state: Any) -> Tensor:
        """`[B, C, h, w]` → `[B, C, s·h, s·w]`."""
        out: Tensor = self.conv(de)
        return out
