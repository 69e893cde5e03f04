"""SemiShift: kernels from encoder and decoder by a semi-shift convolution. FADE, ECCV 2022, arXiv:2207.10392.

The same 3×3 convolution runs on the compressed encoder feature at high resolution and on the compressed decoder
feature at low resolution; the latter is raised by nearest neighbour and the two are added, so its bias counts twice:

    z = conv3×3(conv1×1(en)) + nearest(conv3×3(conv1×1(de))),   kernels = softmax over the K² values of each pixel

This file holds the generator (also of `fade.py`) and the upsampler without FADE's gate, the paper's ablation.
It equals the authors' "L2H" file, and their "H2L" file on square input, to rounding (no licence is stated there;
nothing is taken from it). Not matched: their H2L file fails where height ≠ width; one pure-PyTorch H2L file scrambles
channels. Ours adds any size and any ratio.

Names of the authors → ours: in_channels_en → en_channels, in_channels_de → de_channels, up_kernel_size → kernel_size,
embedding_dim → embed_channels; their call is (en, de), ours (de, en).
"""

import math
from typing import Any

import torch
from torch import Tensor, nn

from denseup.ops import reassemble
from denseup.ops.encoding import encode_content
from denseup.ops.geometry import Size
from denseup.ops.pointwise import SharedMap, convolve
from denseup.upsamplers.arguments import odd_option, whole_option
from denseup.upsamplers.base import Upsampler
from denseup.upsamplers.registry import register_upsampler
from denseup.upsamplers.start import Start, neutral_kernels, quieten

GENERATOR_KEYS = {
    "compressor_en": "embed_en",
    "compressor_de": "embed_de",
    "content_encoder": "encode",
    "conv1_en": "embed_en",
    "conv1_de": "embed_de",
    "conv2_kernels": "encode.weight",
    "conv2_bias": "encode.bias",
}
"""Authors' keys of the generator, of the L2H and of the H2L file."""


class SemiShiftKernels(nn.Module):
    """Reassembly logits from both features (FADE, eq. 3; the L2H form of the IJCV version, arXiv:2407.13500).

    Args:
        de_channels, en_channels: channels of the two features.
        kernel_size: K; K² logits come out for every pixel.
        embed_channels: channels after the compressors.
        encoder_kernel_size: of the shared convolution, odd.
        depthwise: FADE-Lite: compress straight to K² channels and convolve each on its own.
    """

    official_keys = GENERATOR_KEYS

    def __init__(
        self,
        de_channels: int,
        en_channels: int,
        kernel_size: int = 5,
        embed_channels: int = 64,
        encoder_kernel_size: int = 3,
        depthwise: bool = False,
    ) -> None:
        super().__init__()
        logits = odd_option("kernel_size", kernel_size) ** 2
        encoder_kernel_size = odd_option("encoder_kernel_size", encoder_kernel_size)
        embed = logits if depthwise else whole_option("embed_channels", embed_channels)
        self.embed_en = nn.Conv2d(en_channels, embed, 1)
        self.embed_de = nn.Conv2d(de_channels, embed, 1, bias=False)
        self.encode = nn.Conv2d(
            embed, logits, encoder_kernel_size, padding=encoder_kernel_size // 2, groups=logits if depthwise else 1
        )
        for module in self.children():
            xavier(module)

    def start_neutral(self, scale_factor: int) -> None:
        """One kernel, the mean of those of bilinear interpolation; half its logits, for the bias counts twice."""
        kernel_size = math.isqrt(self.encode.out_channels)
        quieten(self.encode)
        assert self.encode.bias is not None
        with torch.no_grad():
            self.encode.bias.copy_(neutral_kernels(kernel_size, scale_factor).mean(0).log() / 2)

    def forward(self, de: Tensor | SharedMap, en: Tensor | SharedMap) -> Tensor:
        """`[B, C_de, h, w]`, `[B, C_en, H, W]` → logits `[B, K², H, W]`."""
        low, high = convolve(self.embed_de, de), convolve(self.embed_en, en)
        return encode_content(self.encode, high, low)


@register_upsampler("semishift")
class SemiShift(Upsampler):
    """Reassembly with semi-shift kernels and no gate: out = reassemble(de, softmax(z)). C_en may differ from C_de.

    Args:
        de_channels, en_channels, scale_factor, start: see `Upsampler`.
        kernel_size: K of the reassembly, odd.
        embed_channels: channels after the compressors.
        encoder_kernel_size: of the shared convolution, odd.
    """

    guided = True
    works_channels_last = True
    official_keys = {
        f"{prefix}.{key}": f"kernels.{ours}"
        for prefix in ("ker_generator", "kernel_generator")
        for key, ours in GENERATOR_KEYS.items()
    }

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
            self.de_channels, self.en_channels, self.kernel_size, embed_channels, encoder_kernel_size
        )
        self.apply_start()

    def start_neutral(self) -> None:
        """Nearly bilinear interpolation; see `SemiShiftKernels`."""
        self.kernels.start_neutral(self.scale_factor)

    def upsample(self, de: Tensor, en: Tensor | None, size: Size, state: Any) -> Tensor:
        """`[B, C_de, h, w]`, `[B, C_en, *size]` → `[B, C_de, *size]`."""
        return reassemble(de, self.kernels(de, en), self.kernel_size, normalize="softmax")


def xavier(module: nn.Module) -> None:
    """Xavier uniform weights and zero bias: the authors' initialisation of all of FADE's convolutions."""
    assert isinstance(module, nn.Conv2d)
    nn.init.xavier_uniform_(module.weight)
    if module.bias is not None:
        nn.init.zeros_(module.bias)
