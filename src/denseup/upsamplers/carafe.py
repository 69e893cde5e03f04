"""CARAFE: Content-Aware ReAssembly of FEatures. Wang et al., ICCV 2019, arXiv:1905.02188.

Kernels are predicted from the decoder feature alone: compress channels, encode K²·s² values for every low-resolution
pixel, shuffle them to K² for every high-resolution pixel, softmax, reassemble. Equals `CARAFEPack` of mmcv (Apache-2.0;
nothing is taken from it) where the output is exactly s times the input.

Ours differs in one thing: any output size. The kernels of the s-times grid are resized by nearest neighbour, which for
exactly s times the size changes nothing.

Names of mmcv → ours: channels → de_channels, up_kernel → kernel_size, up_group → groups, encoder_kernel →
encoder_kernel_size, compressed_channels → embed_channels; channel_compressor → compress, content_encoder → encode.
"""

from typing import Any

import torch
from torch import Tensor, nn

from denseup.ops import reassemble, resize_nearest
from denseup.ops.encoding import encode_content
from denseup.ops.geometry import Size, pixel_shuffle
from denseup.ops.pointwise import convolve
from denseup.upsamplers.arguments import check_divides, odd_option, whole_option
from denseup.upsamplers.base import Upsampler
from denseup.upsamplers.registry import register_upsampler
from denseup.upsamplers.start import Start, neutral_kernels


@register_upsampler("carafe")
class CARAFE(Upsampler):
    """Content-aware reassembly with kernels from the decoder feature (eq. 3-4).

    Args:
        de_channels, en_channels, scale_factor, start: see `Upsampler`; the guide only gives the size.
        kernel_size: K of the reassembly, odd.
        groups: G groups of channels, each with kernels of its own.
        encoder_kernel_size: of the convolution that predicts the kernels, odd.
        encoder_dilation: of the same convolution.
        embed_channels: channels after the compressor.

    Raises:
        ValueError: a size of a kernel is even, or groups does not divide the channels.
    """

    works_channels_last = True
    official_keys = {"channel_compressor": "compress", "content_encoder": "encode"}

    def __init__(
        self,
        de_channels: int,
        en_channels: int | None = None,
        scale_factor: int = 2,
        *,
        kernel_size: int = 5,
        groups: int = 1,
        encoder_kernel_size: int = 3,
        encoder_dilation: int = 1,
        embed_channels: int = 64,
        start: Start = "published",
    ) -> None:
        super().__init__(de_channels, en_channels, scale_factor, start=start)
        self.kernel_size, self.groups = odd_option("kernel_size", kernel_size), whole_option("groups", groups)
        check_divides("groups", self.groups, self.de_channels)
        encoder_kernel_size = odd_option("encoder_kernel_size", encoder_kernel_size)
        encoder_dilation = whole_option("encoder_dilation", encoder_dilation)
        embed_channels = whole_option("embed_channels", embed_channels)
        self.compress = nn.Conv2d(self.de_channels, embed_channels, 1)
        self.encode = nn.Conv2d(
            embed_channels,
            self.groups * self.kernel_size**2 * self.scale_factor**2,
            encoder_kernel_size,
            padding=(encoder_kernel_size - 1) * encoder_dilation // 2,
            dilation=encoder_dilation,
        )
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Xavier uniform for the compressor, N(0, 0.001) for the encoder: training starts near plain averaging."""
        nn.init.xavier_uniform_(self.compress.weight)
        nn.init.normal_(self.encode.weight, std=0.001)
        for conv in (self.compress, self.encode):
            assert conv.bias is not None
            nn.init.zeros_(conv.bias)
        self.apply_start()

    def start_neutral(self) -> None:
        """Kernels from bilinear interpolation, each sub-position its own, by the encoder's bias."""
        logits = neutral_kernels(self.kernel_size, self.scale_factor).log().T.flatten().repeat(self.groups)
        assert self.encode.bias is not None
        with torch.no_grad():
            self.encode.bias.copy_(logits)

    def upsample(self, de: Tensor, en: Tensor | None, size: Size, state: Any) -> Tensor:
        """`[B, C, h, w]` → `[B, C, *size]`."""
        return reassemble(de, self.kernels(de, size), self.kernel_size, self.groups, normalize="softmax")

    def kernels(self, de: Tensor, size: Size) -> Tensor:
        """Reassembly logits: `[B, C, h, w]` → `[B, G·K², *size]`."""
        logits = encode_content(self.encode, convolve(self.compress, de))
        return resize_nearest(pixel_shuffle(logits, self.scale_factor), size)
