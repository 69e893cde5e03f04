"""DLU: Dynamic Lightweight Upsampling. Fu et al., Lighten CARAFE, ICPR 2024, arXiv:2410.22139.

CARAFE, with kernels that are predicted at low resolution, one for each pixel, and read from there at learned positions:

    M = softmax over K² of conv(compress(de)),   O = pixel_shuffle(conv(compress(de)))
    M↑(y, x) = M read by bilinear interpolation at (⌊y·h/H⌋ + O_y, ⌊x·w/W⌋ + O_x);   out = reassemble(de, M↑)

An interpolated kernel is normalised like those that it is interpolated from: there is no second softmax. The base of
the positions is the source pixel itself: without offsets all output pixels of a source pixel share its kernel.

Equals the authors' code (no licence was found; nothing is taken from it) where the output is exactly s times the input.
Ours differs in: any size (the offsets of the s-times grid are resized by nearest neighbour); maps of one pixel, where
theirs divides by zero and then crashes; positions in pixels and float32 at least (theirs are within [-1, 1] and float32
always: float64 loses half its digits, bfloat16 raises); groups, which fail there.

Names of the authors → ours: channels → de_channels, up_kernel → kernel_size, up_group → groups, encoder_kernel →
encoder_kernel_size, compressed_channels → embed_channels; channel_compressor → compress, kernel_space_generator →
encode, conv_offset → offset.
"""

from typing import Any

import torch
from torch import Tensor, nn

from denseup.ops import reassemble, resize_nearest, sample_bilinear
from denseup.ops.arithmetic import softmax_by_group, unflatten
from denseup.ops.encoding import encode_content
from denseup.ops.geometry import Size, parent_grid, pixel_shuffle
from denseup.ops.pointwise import convolve
from denseup.upsamplers.arguments import check_divides, odd_option, whole_option
from denseup.upsamplers.base import Upsampler
from denseup.upsamplers.registry import register_upsampler
from denseup.upsamplers.start import Start, neutral_kernels


@register_upsampler("dlu")
class DLU(Upsampler):
    """Content-aware reassembly with kernels that are sampled from a small map of kernels (eq. 4-7).

    Args:
        de_channels, en_channels, scale_factor, start: see `Upsampler`; the guide only gives the size.
        kernel_size: K of the reassembly, odd.
        groups: G groups of channels, each with kernels and offsets of its own.
        encoder_kernel_size: of the convolutions that predict kernels and offsets, odd.
        encoder_dilation: of the same convolutions.
        embed_channels: channels after the compressor.

    Raises:
        ValueError: a size of a kernel is even, or groups does not divide the channels.
    """

    works_channels_last = True
    official_keys = {"channel_compressor": "compress", "kernel_space_generator": "encode", "conv_offset": "offset"}

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
        around = (encoder_kernel_size - 1) * encoder_dilation // 2
        shape: dict[str, Any] = {"padding": around, "dilation": encoder_dilation}
        outputs = (self.groups * self.kernel_size**2, 2 * self.groups * self.scale_factor**2)
        self.compress = nn.Conv2d(self.de_channels, embed_channels, 1)
        self.encode, self.offset = (nn.Conv2d(embed_channels, n, encoder_kernel_size, **shape) for n in outputs)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Xavier uniform for the compressor, N(0, 0.001) for the kernels, no offsets: near plain averaging."""
        nn.init.xavier_uniform_(self.compress.weight)
        nn.init.normal_(self.encode.weight, std=0.001)
        nn.init.zeros_(self.offset.weight)
        for conv in (self.compress, self.encode, self.offset):
            assert conv.bias is not None
            nn.init.zeros_(conv.bias)
        self.apply_start()

    def start_neutral(self) -> None:
        """The mean of the kernels of bilinear interpolation: without offsets all sub-positions have the same."""
        logits = neutral_kernels(self.kernel_size, self.scale_factor).mean(0).log().repeat(self.groups)
        assert self.encode.bias is not None
        with torch.no_grad():
            self.encode.bias.copy_(logits)

    def upsample(self, de: Tensor, en: Tensor | None, size: Size, state: Any) -> Tensor:
        """`[B, C, h, w]` → `[B, C, *size]`."""
        return reassemble(de, self.kernels(de, size), self.kernel_size, self.groups)

    def kernels(self, de: Tensor, size: Size) -> Tensor:
        """Normalised kernels, at least in float32: `[B, C, h, w]` → `[B, G·K², *size]`."""
        embedded = convolve(self.compress, de)
        kernels = softmax_by_group(encode_content(self.encode, embedded), self.groups)
        offsets = self.offsets(embedded, size)
        return sample_bilinear(kernels, parent_grid(de, size, offsets.dtype, self.groups) + offsets, self.groups)

    def offsets(self, embedded: Tensor, size: Size) -> Tensor:
        """`[B, embed_channels, h, w]` → `[B, 2·G, *size]` in pixels of `de`, the columns of all groups first."""
        shuffled = pixel_shuffle(encode_content(self.offset, embedded), self.scale_factor)
        offsets = unflatten(shuffled, 1, (self.groups, 2)).transpose(1, 2).flatten(1, 2)
        return resize_nearest(offsets.to(torch.promote_types(offsets.dtype, torch.float32)), size)
