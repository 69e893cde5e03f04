"""FreqFusion: frequency-aware feature fusion. Chen et al., TPAMI 46(12), 2024, arXiv:2408.12879.

The decoder feature is raised by low-pass kernels, the encoder feature sharpened by high-pass kernels, and both kernels
are predicted from both features; optionally the raised map is then resampled where its neighbours are more alike. What
the decoder uses is the pair (out, en').

    ĥ = compress(en), l̂ = compress(de);   E_L, E_H one convolution each, used on both;   N_k(z) = softmax(z + log W)
    h = E_H(ĥ);    ĥ ← 2ĥ - R_3(ĥ, N_3(h));    l = E_L(ĥ)
    z_L = l + R_5(E_L(l̂), N_5(l)),   z_H = h + R_5(E_H(l̂), N_5(z_L))
    out = R_5(de, N_5(z_L)),   en' = 2·en - R_3(en, N_3(z_H))

R_k is reassembly with zeros beyond the map, at the encoder feature's resolution. As each convolution serves both maps,
its bias counts twice. The window is Hamming's; multiplying a softmax by it and normalising again is adding its
logarithm. Resampling (`resample`), for groups of channels, with n the compressed maps after group normalisation and cos
their cosines with the eight neighbours two pixels away:

    u = [n, cos(n)],   O = (offset_de(u_l)↑ + offset_en(u_h)) · σ(scale_de(u_l)↑ + scale_en(u_h))     pixels of `de`
    out ← bilinear(out at (y + O_y·H/h, x + O_x·W/w)),   border repeated

Equals the authors' code (no licence is stated there; nothing is taken from it) as it runs on a GPU. Ours differs in:
any size and channels; a group norm for few channels; the start of the resampler. Their resampler sets its offsets near
0, but the module around it then draws all convolutions by Xavier's rule, so that the published models start with
offsets of a deviation of 0.9 pixels; ours keeps what the resampler meant. Their fallback without CUDA pads by
reflection: other numbers at borders.

Names of the authors → ours: hr_channels → en_channels, lr_channels → de_channels, compressed_channels → embed_channels,
lowpass_kernel, highpass_kernel → kernel_size, high_kernel_size, encoder_kernel → encoder_kernel_size, hamming_window →
hamming, feature_resample(_group, _norm) → resample(_groups, _norm), direction_feat → directions, comp_feat_upsample →
refine, hr_residual → residual; hr_channel_compressor, lr_channel_compressor → compress_en, compress_de, content_encoder
→ encode, content_encoder2 → encode_high, dysampler → resampler. Their call is (en, de) and gives (kernels, en', out).
"""

import math
from collections.abc import Callable
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from denseup.ops import local_similarity, reassemble, resize_nearest, sample_bilinear
from denseup.ops.arguments import one_of, true_or_false
from denseup.ops.arithmetic import accumulate, softmax_by_group
from denseup.ops.encoding import encode_content
from denseup.ops.geometry import Size, pixel_shuffle, position_grid, size_of
from denseup.ops.normalization import GroupNorm
from denseup.ops.pointwise import convolve
from denseup.upsamplers.arguments import check_divides, odd_option, whole_option
from denseup.upsamplers.base import Upsampler
from denseup.upsamplers.dysample import initial_positions
from denseup.upsamplers.registry import register_upsampler
from denseup.upsamplers.start import CLOSED_GATE, Start, neutral_kernel_of_raised, neutral_kernels

NEIGHBOURS = [tap for tap in range(25) if tap // 5 % 2 == 0 and tap % 5 % 2 == 0 and tap != 12]
"""Of a 5×5 window the eight taps two pixels from its centre, by rows."""
DIRECTIONS = ("features", "similarity")


@register_upsampler("freqfusion")
@register_upsampler("freqfusion_resample", resample=True)
class FreqFusion(Upsampler):
    """Low-pass upsampling, high-pass sharpening of the encoder feature, and resampling.

    Args:
        de_channels, en_channels, scale_factor, start: see `Upsampler`.
        kernel_size: of the low-pass kernels, odd.
        high_kernel_size: of the high-pass kernels, odd.
        encoder_kernel_size: of the convolutions that predict them and the offsets, odd.
        embed_channels: m, channels after the compressors.
        hamming: whether Hamming's window weights the kernels.
        refine: whether kernels are refined by each other, as in the equations; else ĥ stays, and E(l̂) is raised by
            nearest neighbour.
        semi_conv: whether E sees both maps apart; else it sees their sum at the output's resolution, and `de` is raised
            by nearest neighbour before it is filtered.
        high_pass: whether the encoder feature is sharpened; without, `refine` or `semi_conv` has to be off.
        residual: sharpen by en + (en - its mean), else keep en - its mean alone.
        resample: whether the raised map is resampled.
        resample_groups: groups of channels, each with offsets of its own.
        resample_norm: whether the resampler normalises the compressed maps.
        directions: what offsets are predicted from: "features" with the cosines, or their "similarity", the cosines
            alone; the scale then sees the features alone.

    Raises:
        ValueError: a size of a kernel is even, groups do not divide the channels, unknown directions, or options that
            exclude each other.
    """

    guided = True
    changes_en = True
    works_channels_last = True
    window: Tensor | None
    high_window: Tensor | None
    encode_high: nn.Conv2d | None
    resampler: "Resampler | None"
    official_keys = {
        "hr_channel_compressor": "compress_en",
        "lr_channel_compressor": "compress_de",
        "content_encoder": "encode",
        "content_encoder2": "encode_high",
        "hamming_lowpass": None,
        "hamming_highpass": None,
        "dysampler.init_pos": None,
        "dysampler.offset": "resampler.offset_de",
        "dysampler.hr_offset": "resampler.offset_en",
        "dysampler.direct_scale": "resampler.scale_de",
        "dysampler.hr_direct_scale": "resampler.scale_en",
        "dysampler.norm_lr": "resampler.norm_de",
        "dysampler.norm_hr": "resampler.norm_en",
    }

    def __init__(
        self,
        de_channels: int,
        en_channels: int | None = None,
        scale_factor: int = 2,
        *,
        kernel_size: int = 5,
        high_kernel_size: int = 3,
        encoder_kernel_size: int = 3,
        embed_channels: int = 64,
        hamming: bool = True,
        refine: bool = True,
        semi_conv: bool = True,
        high_pass: bool = True,
        residual: bool = True,
        resample: bool = False,
        resample_groups: int = 4,
        resample_norm: bool = True,
        directions: Literal["features", "similarity"] = "features",
        start: Start = "published",
    ) -> None:
        super().__init__(de_channels, en_channels, scale_factor, start=start)
        self.kernel_size = odd_option("kernel_size", kernel_size)
        self.high_kernel_size = odd_option("high_kernel_size", high_kernel_size)
        encoder_kernel_size = odd_option("encoder_kernel_size", encoder_kernel_size)
        embed_channels = whole_option("embed_channels", embed_channels)
        resample_groups = whole_option("resample_groups", resample_groups)
        flags = {"hamming": hamming, "refine": refine, "semi_conv": semi_conv, "high_pass": high_pass}
        flags |= {"residual": residual, "resample": resample, "resample_norm": resample_norm}
        for name, flag in flags.items():
            true_or_false(name, flag)
        one_of("directions", directions, DIRECTIONS)
        self.refine, self.semi_conv, self.residual = refine and semi_conv, semi_conv, residual
        if not high_pass and self.refine:
            raise ValueError("high_pass is False, expected True with refine and semi_conv: they need its kernels")
        self.compress_en = nn.Conv2d(self.en_channels, embed_channels, 1)
        self.compress_de = nn.Conv2d(self.de_channels, embed_channels, 1)

        def encoder(size: int) -> nn.Conv2d:
            around = encoder_kernel_size // 2
            return nn.Conv2d(embed_channels, size**2, encoder_kernel_size, padding=around)

        self.encode = encoder(self.kernel_size)
        self.encode_high = encoder(self.high_kernel_size) if high_pass else None
        self.resampler = None
        if resample:
            options = (resample_groups, encoder_kernel_size, resample_norm, directions)
            check_divides("resample_groups", resample_groups, self.de_channels)
            self.resampler = Resampler(embed_channels, self.scale_factor, *options)
        self.hamming = true_or_false("hamming", hamming)
        for name, window in self._windows().items():
            self.register_buffer(name, window, persistent=False)
        self.reset_parameters()

    def _windows(self, device: torch.device | None = None) -> dict[str, Tensor | None]:
        sizes = {"window": self.kernel_size, "high_window": self.high_kernel_size}
        return {name: _window(size, device) if self.hamming else None for name, size in sizes.items()}

    def _apply(self, fn: Callable[..., Any], recurse: bool = True) -> "FreqFusion":
        """As of any module; the windows go to its device, and stay what they are in single precision."""
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        if self.window is not None:
            for name, window in self._windows(self.window.device).items():
                setattr(self, name, window)
        return self

    def reset_parameters(self) -> None:
        """Xavier uniform for the compressors, N(0, 0.001) for the kernels, zero biases; the resampler has its own."""
        for conv in (self.compress_en, self.compress_de):
            nn.init.xavier_uniform_(conv.weight)
        for conv in (self.compress_en, self.compress_de, *self._encoders()):
            assert conv.bias is not None
            nn.init.zeros_(conv.bias)
        for conv in self._encoders():
            nn.init.normal_(conv.weight, std=0.001)
        self.apply_start()

    def official_constants(self) -> dict[str, Tensor]:
        """The windows, one 1 where they are off, and where the resampler reads."""
        one = torch.ones(1, dtype=torch.float32)
        windows = [one if x is None else x.reshape(1, 1, *[math.isqrt(len(x))] * 2) for x in self._windows().values()]
        constants = dict(zip(("hamming_lowpass", "hamming_highpass"), windows, strict=True))
        if self.resampler is not None:
            constants["dysampler.init_pos"] = initial_positions(self.scale_factor, self.resampler.groups)
        return constants

    def start_neutral(self) -> None:
        """Low-pass kernels those of bilinear interpolation, or their mean, high-pass ones nearly nothing: by biases."""
        if self.semi_conv:
            low = neutral_kernels(self.kernel_size, self.scale_factor).mean(0)
        else:
            low = neutral_kernel_of_raised(self.kernel_size, self.scale_factor)
        kernels = low, neutral_kernels(self.high_kernel_size, 1)[0]
        windows = (self.window, self.high_window)
        with torch.no_grad():
            for conv, kernel, window in zip(self._encoders(), kernels, windows, strict=False):
                assert conv.bias is not None
                logits = kernel.log() if window is None else kernel.log() - window.log()
                conv.bias.copy_(logits / (2 if self.semi_conv else 1))
        if self.resampler is not None:
            self.resampler.start_neutral()

    def upsample(self, de: Tensor, en: Tensor | None, size: Size, state: Any) -> tuple[Tensor, Tensor]:
        """`[B, C_de, h, w]`, `[B, C_en, *size]` → `[B, C_de, *size]`, `[B, C_en, *size]`."""
        assert en is not None
        high, low = convolve(self.compress_en, en), convolve(self.compress_de, de)
        high, logits, high_logits = self._kernels(high, low)
        raised = de if self.semi_conv else resize_nearest(de, size)
        out = reassemble(raised, logits, self.kernel_size, normalize="softmax")
        if self.resampler is not None:
            out = self.resampler(out, high, low)
        if high_logits is None:
            return out, en
        smooth = reassemble(en, high_logits, self.high_kernel_size, normalize="softmax")
        return out, (2 * en - smooth if self.residual else en - smooth)

    def kernels(self, de: Tensor, en: Tensor) -> Tensor:
        """The normalised low-pass kernels: `[B, C_de, h, w]`, `[B, C_en, H, W]` → `[B, K², H, W]`."""
        _, logits, _ = self._kernels(convolve(self.compress_en, en), convolve(self.compress_de, de))
        return softmax_by_group(logits, 1)

    def _kernels(self, high: Tensor, low: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
        """Compressed maps → that of the encoder as it is seen further on, logits of low-pass and high-pass kernels."""
        if self.refine:
            return self._refined(high, low)
        size, encode_high = size_of(high), self.encode_high
        if not self.semi_conv:
            both = high + resize_nearest(low, size)
            high_logits = None if encode_high is None else self._high(encode_content(encode_high, both))
            return high, self._low(encode_content(self.encode, both)), high_logits
        logits = self._low(encode_content(self.encode, high, low))
        if encode_high is None:
            return high, logits, None
        return high, logits, self._high(encode_content(encode_high, high, low))

    def _refined(self, high: Tensor, low: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        assert self.encode_high is not None
        of_high = encode_content(self.encode_high, high)
        high = 2 * high - reassemble(high, self._high(of_high), self.high_kernel_size, normalize="softmax")
        of_low = encode_content(self.encode, high)
        raised = reassemble(encode_content(self.encode, low), self._low(of_low), self.kernel_size, normalize="softmax")
        logits = self._low(accumulate(of_low) + raised)
        raised = reassemble(encode_content(self.encode_high, low), logits, self.kernel_size, normalize="softmax")
        return high, logits, self._high(accumulate(of_high) + raised)

    def _low(self, logits: Tensor) -> Tensor:
        return _weighted(logits, self.window)

    def _high(self, logits: Tensor) -> Tensor:
        return _weighted(logits, self.high_window)

    def _encoders(self) -> list[nn.Conv2d]:
        return [conv for conv in (self.encode, self.encode_high) if conv is not None]


class Resampler(nn.Module):
    """Reads a raised map at places beside its own, which the compressed maps choose.

    Args:
        channels: m, of both compressed maps.
        scale_factor: of the grid on which the terms of the low-resolution map are predicted.
        groups: of the raised map's channels.
        kernel_size: of the convolutions.
        norm: whether the compressed maps are normalised, in m // 8 groups, at least one.
        directions: see `FreqFusion`.
    """

    def __init__(
        self, channels: int, scale_factor: int, groups: int, kernel_size: int, norm: bool, directions: str
    ) -> None:
        super().__init__()
        self.groups, self.scale_factor, self.directions = groups, scale_factor, directions
        of_norm = max(1, channels // 8)
        if norm and channels % of_norm:
            raise ValueError(
                f"embed_channels is {channels}, expected a multiple of {of_norm}, an eighth of it, for the norm"
            )
        self.norm_en, self.norm_de = (GroupNorm(of_norm, channels) if norm else nn.Identity() for _ in range(2))
        cosines = len(NEIGHBOURS)
        seen = (channels + cosines,) * 2 if directions == "features" else (cosines, channels)

        def pair(inputs: int) -> list[nn.Conv2d]:
            outputs = (2 * groups * scale_factor**2, 2 * groups)
            return [nn.Conv2d(inputs, n, kernel_size, padding=kernel_size // 2) for n in outputs]

        self.offset_de, self.offset_en = pair(seen[0])
        self.scale_de, self.scale_en = pair(seen[1])
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Offsets near 0 (N(0, 0.001)), scales in the middle of their range."""
        for name, conv in self.named_children():
            if isinstance(conv, nn.Conv2d):
                nn.init.normal_(conv.weight, std=0.001 if name.startswith("offset") else 0)
                assert conv.bias is not None
                nn.init.zeros_(conv.bias)

    def start_neutral(self) -> None:
        """Scales nearly closed: every pixel is read where it is."""
        assert self.scale_en.bias is not None
        nn.init.constant_(self.scale_en.bias, CLOSED_GATE)

    def forward(self, out: Tensor, high: Tensor, low: Tensor) -> Tensor:
        """Raised map `[B, C, H, W]`, compressed maps `[B, m, H, W]` and `[B, m, h, w]` → `[B, C, H, W]`."""
        size = size_of(out)
        offsets = self.offsets(self.norm_en(high), self.norm_de(low))
        x, y = offsets.to(torch.promote_types(offsets.dtype, torch.float32)).chunk(2, 1)
        moves = torch.cat([x * (size[1] / low.shape[3]), y * (size[0] / low.shape[2])], 1)
        rows, columns = (torch.arange(n, dtype=moves.dtype, device=moves.device) for n in size)
        return sample_bilinear(out, position_grid(rows, columns, self.groups) + moves, self.groups)

    def offsets(self, high: Tensor, low: Tensor) -> Tensor:
        """`[B, 2·G, H, W]` in pixels of the low-resolution map, the columns of all groups first."""
        (offset_high, scale_high), (offset_low, scale_low) = self._seen(high), self._seen(low)
        offsets: Tensor = self._raised(self.offset_de(offset_low), high) + self.offset_en(offset_high)
        scale: Tensor = self._raised(self.scale_de(scale_low), high) + self.scale_en(scale_high)
        return offsets * torch.sigmoid(scale)

    def _seen(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """What the convolutions of offsets and of scales are given."""
        cosines = neighbour_cosines(x)
        both = torch.cat([x, cosines], 1)
        return (both, both) if self.directions == "features" else (cosines, x)

    def _raised(self, x: Tensor, like: Tensor) -> Tensor:
        return resize_nearest(pixel_shuffle(x, self.scale_factor), size_of(like))


def neighbour_cosines(x: Tensor) -> Tensor:
    """Cosines of `[B, C, H, W]` with its eight neighbours two pixels away, 0 beyond the map: `[B, 8, H, W]`."""
    unit = F.normalize(accumulate(x), dim=1, eps=1e-8)  # in float16 the least length would be 0
    cosines: Tensor = local_similarity(unit, unit, 5)[:, NEIGHBOURS]
    return cosines.to(x.dtype)


def _weighted(logits: Tensor, window: Tensor | None) -> Tensor:
    """Logits of kernels that are weighted by a window, in float32 at least."""
    logits = accumulate(logits)
    if window is None:
        return logits
    weights: Tensor = window.to(logits.dtype).log()[:, None, None]
    return logits + weights


def _window(kernel_size: int, device: torch.device | None = None) -> Tensor:
    """Hamming's window by rows, `[K²]`, as single precision has it."""
    if kernel_size == 1:
        return torch.ones(1, dtype=torch.float32, device=device)
    line = [0.54 - 0.46 * math.cos(2 * math.pi * i / (kernel_size - 1)) for i in range(kernel_size)]
    return torch.tensor([a * b for a in line for b in line], dtype=torch.float64, device=device).float()
