"""A2U: Affinity-Aware Upsampling. Dai et al., CVPR 2021, arXiv:2011.14288.

Second-order kernels from the encoder feature x, for both the pooling and the upsampling. Two convolutions whose kernels
U and V are themselves predicted from x, one pair for each sample, give two embeddings; their inner product is one
affinity value for each 2×2 block, which scales kernels that are common to the sample:

    q = Σ_c lrelu(GN(x * U))·lrelu(GN(x * V)) / √C
    up kernels = softmax(sigmoid(pixel_shuffle(q·P_up(GAP(x)))));   down kernels = softmax(q·P_down(GAP(x)))

Equals the authors' code (MIT; nothing is taken from it) on even sizes and one group. Ours differs in: any size (an odd
map is continued by its last row and column) and any ratio; any number of channels (the norms have gcd(32, C) groups,
theirs need C to be a multiple of 32); softmax in at least float32; and more than one group, where their code writes the
kernels with the groups innermost and reads them with the groups outermost, and so mixes taps of different groups up:
ours are group-major throughout.

Names of the authors → ours: c → en_channels, up_kernel_size → kernel_size, encode_kernel_size → encoder_kernel_size,
downupsample_group → groups, share → shared; bnu, bnv → norm_u, norm_v; bconv_U, bconv_V, bconv_UP, bconv_DP → u, v, up,
down. Their plug-in for other networks has no bconv_DP: that is `own_downsampling=False`.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from denseup.ops import bidownsample, reassemble
from denseup.ops.arguments import true_or_false
from denseup.ops.depthwise import convolve_channels
from denseup.ops.geometry import Size, pad_to_even, pixel_shuffle, size_of, upper_left
from denseup.ops.normalization import GroupNorm
from denseup.ops.pooling import adaptive_average
from denseup.ops.turning import gradient_in_layout
from denseup.upsamplers.arguments import odd_option, whole_option
from denseup.upsamplers.base import Upsampler
from denseup.upsamplers.registry import register_upsampler
from denseup.upsamplers.start import Start, quieten

NORM_GROUPS = 32
NEGATIVE_SLOPE = 0.01


@register_upsampler("a2u")
class A2U(Upsampler):
    """Reassembly with second-order kernels from the encoder feature, paired with content-aware pooling.

    Args:
        de_channels, en_channels, scale_factor, start: see `Upsampler`; the size is always that of the guide.
        kernel_size: s_k of the upsampling, odd; 1 weights nearest-neighbour interpolation by the sigmoid alone.
        encoder_kernel_size: k of the predicted convolutions and of the pooling.
        groups: groups of channels with kernels of their own, a divisor of both numbers of channels.
        shared: all channels share the kernels U and V ("share"); else each has its own.
        own_downsampling: pool by predicted kernels; else by max pooling, without the parameters that this takes, for
            networks that do not let the upsampler pool.

    Raises:
        ValueError: kernel_size is even, or groups does not divide the channels.
    """

    guided = True
    paired = True
    state_type = Tensor
    works_channels_last = True
    official_keys = {
        f"{prefix}{key}": ours
        for prefix in ("", "kernel_gen.")
        for key, ours in {
            "bnu.0": "norm_u",
            "bnv.0": "norm_v",
            "bconv_U.1": "u",
            "bconv_V.1": "v",
            "bconv_UP.1": "up",
            "bconv_DP.1": "down",
        }.items()
    }

    def __init__(
        self,
        de_channels: int,
        en_channels: int | None = None,
        scale_factor: int = 2,
        *,
        kernel_size: int = 3,
        encoder_kernel_size: int = 6,
        groups: int = 1,
        shared: bool = True,
        own_downsampling: bool = True,
        start: Start = "published",
    ) -> None:
        super().__init__(de_channels, en_channels, scale_factor, start=start)
        kernel_size = odd_option("kernel_size", kernel_size)
        encoder_kernel_size = whole_option("encoder_kernel_size", encoder_kernel_size)
        groups = whole_option("groups", groups)
        if math.gcd(de_channels, self.en_channels) % groups:
            raise ValueError(f"groups is {groups}, expected a divisor of {de_channels} and {self.en_channels} channels")
        self.kernel_size, self.encoder_kernel_size, self.groups = kernel_size, encoder_kernel_size, groups
        shared, own_downsampling = (
            true_or_false("shared", shared),
            true_or_false("own_downsampling", own_downsampling),
        )
        channels = self.en_channels
        self.u, self.v = (nn.Conv2d(channels, 1 if shared else channels, 1) for _ in range(2))
        self.norm_u, self.norm_v = (GroupNorm(math.gcd(NORM_GROUPS, channels), channels) for _ in range(2))
        self.up = nn.Conv2d(channels, 4 * groups * kernel_size**2, 1)
        self.down: nn.Conv2d | None = None
        if own_downsampling:
            self.down = nn.Conv2d(channels, groups * encoder_kernel_size**2, 1)
        self.apply_start()

    def start_neutral(self) -> None:
        """The mean over the window, for the pooling too."""
        for predict in (self.up, self.down):
            if predict is not None:
                quieten(predict)

    def downsample(self, en: Tensor) -> tuple[Tensor, Tensor | None]:
        """Content-aware pooling, `[B, C, H, W]` → `[B, C, ⌈H/2⌉, ⌈W/2⌉]`; the state is the up kernels' logits."""
        if self.down is None:
            return super().downsample(en)
        self.check_encoder(en)
        size = size_of(en)
        en = gradient_in_layout(pad_to_even(en))
        affinity = self.affinity(en)
        logits = self.down_logits(en, affinity)
        pooled = bidownsample(en, logits, self.encoder_kernel_size, 2, self.groups, normalize="softmax")
        return pooled, upper_left(self.up_logits(en, affinity), size)

    def upsample(self, de: Tensor, en: Tensor | None, size: Size, state: Tensor | None) -> Tensor:
        """`[B, C_de, h, w]`, `[B, C_en, *size]` → `[B, C_de, *size]`."""
        if state is None:
            assert en is not None
            en = gradient_in_layout(pad_to_even(en))
            state = upper_left(self.up_logits(en, self.affinity(en)), size)
        return reassemble(
            de, state, self.kernel_size, self.groups, normalize="softmax" if self.kernel_size > 1 else None
        )

    def affinity(self, en: Tensor) -> Tensor:
        """The affinity q, one value for each 2×2 block: `[B, C, H, W]` → `[B, 1, H/2, W/2]`; H and W even."""
        window = adaptive_average(en, (self.encoder_kernel_size,) * 2)
        embeddings = [
            F.leaky_relu(norm(_convolve_each(en, predict(window))), NEGATIVE_SLOPE)
            for predict, norm in ((self.u, self.norm_u), (self.v, self.norm_v))
        ]
        u, v = (x.to(torch.promote_types(x.dtype, torch.float32)) for x in embeddings)
        return (u * v).sum(1, keepdim=True) / math.sqrt(self.en_channels)

    def down_logits(self, en: Tensor, affinity: Tensor) -> Tensor:
        """Pooling kernels before their softmax: `[B, groups·k², H/2, W/2]`, group-major."""
        assert self.down is not None
        logits: Tensor = affinity * self.down(_global_average(en))
        return logits

    def up_logits(self, en: Tensor, affinity: Tensor) -> Tensor:
        """Upsampling kernels before their softmax, in (0, 1): `[B, groups·s_k², H, W]`, group-major."""
        return torch.sigmoid(pixel_shuffle(affinity * self.up(_global_average(en)), 2))


def _global_average(en: Tensor) -> Tensor:
    return F.adaptive_avg_pool2d(en, 1)


def _convolve_each(x: Tensor, kernels: Tensor) -> Tensor:
    """Convolve every channel of every sample on its own, with stride 2 and half the size.

    x: `[B, C, H, W]`; kernels: `[B, C, k, k]`, or `[B, 1, k, k]` for all channels of a sample.
    """
    batch, channels, height, width = x.shape
    size = kernels.shape[-1]
    if isinstance(batch, torch.SymInt) or batch == 0:  # a convolution must know its number of groups, and have one
        everywhere = kernels.flatten(1)[..., None, None].expand(-1, -1, height // 2, width // 2)
        return bidownsample(x, everywhere.to(x.dtype), size, 2, groups=kernels.shape[1])
    weight = kernels.expand(batch, channels, size, size).to(x.dtype)
    return convolve_channels(x, weight, 2, (size - 1) // 2)
