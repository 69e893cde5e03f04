"""FADE: Fusing the Assets of Decoder and Encoder. Lu et al., ECCV 2022, arXiv:2207.10392; IJCV 2024, arXiv:2407.13500.

Semi-shift kernels (`semishift.py`) reassemble the decoder feature, and a gate from the decoder feature lets detail of
the encoder feature through where it helps:

    gate = sigmoid(nearest(conv1×1(de → 1)));   out = gate·en + (1 - gate)·reassemble(de, kernels)

Equals the authors' code ("L2H") to rounding; what that code and ours have in common and where they part is said in
`semishift.py`. Ours adds any size and any ratio, and C_en ≠ C_de: a 1×1 convolution then aligns the encoder feature
with the decoder feature for the sum (the kernels still come from the raw one).
"""

from typing import Any

import torch
from torch import Tensor, nn

from denseup.ops import reassemble_gated
from denseup.ops.geometry import Size
from denseup.ops.pointwise import SharedMap, convolve
from denseup.upsamplers.arguments import odd_option
from denseup.upsamplers.base import Upsampler
from denseup.upsamplers.registry import register_upsampler
from denseup.upsamplers.semishift import SemiShift, SemiShiftKernels, xavier
from denseup.upsamplers.start import CLOSED_GATE, Start, quieten


@register_upsampler("fade")
class FADE(Upsampler):
    """Gated fusion of the encoder feature with the reassembled decoder feature (ECCV eq. 5).

    Args:
        de_channels, en_channels, scale_factor, start: see `Upsampler`.
        kernel_size: K of the reassembly, odd.
        embed_channels: channels after the compressors.
        encoder_kernel_size: of the shared convolution, odd.
    """

    guided = True
    works_channels_last = True
    depthwise = False
    official_keys = {**SemiShift.official_keys, "gate_generator.conv": "gate"}

    def __init__(
        self,
        de_channels: int,
        en_channels: int | None = None,
        scale_factor: int = 2,
        *,
        kernel_size: int = 5,
        embed_channels: int = 64,
        encoder_kernel_size: int = 3,
        start: Start = "published",
    ) -> None:
        super().__init__(de_channels, en_channels, scale_factor, start=start)
        self.kernel_size = odd_option("kernel_size", kernel_size)
        self.kernels = SemiShiftKernels(
            self.de_channels, self.en_channels, self.kernel_size, embed_channels, encoder_kernel_size, self.depthwise
        )
        self.gate = nn.Conv2d(self.de_channels, 1, 1)
        xavier(self.gate)
        self.align: nn.Module = nn.Identity()
        if self.en_channels != self.de_channels:
            self.align = nn.Conv2d(self.en_channels, self.de_channels, 1)
            xavier(self.align)
        self.apply_start()

    def start_neutral(self) -> None:
        """Nearly bilinear interpolation (see `SemiShiftKernels`), and the gate nearly closed."""
        self.kernels.start_neutral(self.scale_factor)
        quieten(self.gate, bias=CLOSED_GATE)

    def upsample(self, de: Tensor, en: Tensor | None, size: Size, state: Any) -> Tensor:
        """`[B, C_de, h, w]`, `[B, C_en, *size]` → `[B, C_de, *size]`."""
        assert en is not None
        low, high = SharedMap(de), SharedMap(en)  # read more than once: their gradients share memory
        gate = convolve(self.gate, low)
        logits = self.kernels(low, high)
        return reassemble_gated(low.last(), logits, self.align(high.last()), torch.sigmoid(gate), self.kernel_size)
