"""JBU: learned joint bilateral upsampling. S. Fu et al., FeatUp, ICLR 2024, arXiv:2403.10516.

The decoder feature is enlarged by bicubic interpolation and filtered by kernels from the image: how alike the pixels of
a window are in a learned space, times a Gaussian of the distance, and a learned correction:

    p = conv1×1(GELU(conv1×1(image)))
    ρ = softmax over the window of clamp(e^τ)·⟨p there, p here⟩;   γ = exp(-|u|²/2ς²)
    k = ργ / Σ ργ,   k ← k + 0.1·F([k, image]);   out = Σ k · bicubic(de)        with the map folded back at its ends

with u from -1 to 1 across the window. k is not normalised again after F. The image, where it is larger than the output,
is brought to its size by average pooling. `jbu` is one such step at any ratio, `jbu_stack` several, of twice the size
each.

Equals the authors' code (MIT; nothing is taken from it). Ours differs in: maps with a side no longer than the radius,
which there fail; ς = 0, which there divides by zero; half precision, which there fails; dropout that draws from a
stream of its own (`denseup.upsamplers.drawing`).

Names of the authors → ours: guidance_dim → image_channels, feat_dim → de_channels, key_dim → embed_channels; range_temp
→ temperature, sigma_spatial → sigma, range_proj → embed, fixup_proj → correct. Their call is (source, guidance).
"""

import math
from typing import Any

import torch
from torch import Tensor, nn

from denseup.ops import transforms
from denseup.ops.arithmetic import accumulate
from denseup.ops.bicubic import bicubic
from denseup.ops.geometry import Size, size_of
from denseup.ops.pointwise import convolve
from denseup.ops.pooling import adaptive_average
from denseup.ops.reflection import reassemble_folded, similarity_folded
from denseup.upsamplers.arguments import check_map, whole_option
from denseup.upsamplers.base import Upsampler
from denseup.upsamplers.drawing import ChannelDropout
from denseup.upsamplers.registry import register_upsampler
from denseup.upsamplers.start import Start

CORRECTION = 0.1
SCALES = (1e-4, 1e4)
"""Bounds of e^τ."""
LEAST_SUM = 1e-7
LEAST_VARIANCE = 1e-6
"""Of the Gaussian; where ς is 0 its centre alone is left."""
NEUTRAL_SIGMA = 0.1
"""Gives the neighbours in a window of radius 3 some 1.5 % of the weight together, if all are as alike."""
OF_A_STEP = {
    "range_temp": "temperature",
    "sigma_spatial": "sigma",
    "range_proj": "embed",
    "fixup_proj": "correct",
}
"""The authors' names of what one step has → ours."""


class BilateralStep(nn.Module):
    """One step: a map and an image of the output's size → the map at that size.

    Args:
        image_channels: of the image.
        embed_channels: of the space in which pixels are compared.
        radius: of the window, (2·radius + 1)².
    """

    def __init__(self, image_channels: int, embed_channels: int, radius: int) -> None:
        super().__init__()
        self.image_channels = image_channels = whole_option("image_channels", image_channels)
        embed_channels, self.radius = whole_option("embed_channels", embed_channels), whole_option("radius", radius)
        taps = (2 * self.radius + 1) ** 2
        self.temperature, self.sigma = nn.Parameter(torch.tensor(0.0)), nn.Parameter(torch.tensor(1.0))
        self.embed = _projection(image_channels, embed_channels, embed_channels)
        self.correct = _projection(taps + image_channels, taps, taps)

    def start_neutral(self) -> None:
        """Kernels of little more than their centre, and no correction."""
        nn.init.constant_(self.sigma, NEUTRAL_SIGMA)
        for parameter in self.correct[-1].parameters():
            nn.init.zeros_(parameter)

    def forward(self, de: Tensor, guide: Tensor) -> Tensor:
        """`[B, C, h, w]`, `[B, C_img, H, W]` → `[B, C, H, W]`."""
        kernels = self.kernels(guide)
        seen = torch.cat([kernels.to(guide.dtype), guide], 1)
        kernels = torch.add(kernels, _apply(self.correct, seen), alpha=CORRECTION)
        low, high = size_of(de), size_of(guide)
        if transforms.takes_any_size(*low, *high) or low != high:  # else it would be the same map
            de = bicubic(de, high)
        return reassemble_folded(de, kernels, 2 * self.radius + 1)

    def kernels(self, guide: Tensor) -> Tensor:
        """Normalised, before the correction, in float32 at least: `[B, C_img, H, W]` → `[B, D², H, W]`."""
        embedded = accumulate(_apply(self.embed, guide))
        scaled = embedded * self._scale().to(embedded.dtype)
        alike = similarity_folded(scaled, embedded, 2 * self.radius + 1).permute(0, 2, 3, 1)
        exponents = self._exponents(alike.dtype)
        if _sums_are_large(alike):
            return (alike + exponents).softmax(3).permute(0, 3, 1, 2)
        weights = alike.softmax(3) * exponents.exp()
        return (weights / weights.sum(3, keepdim=True).clamp(min=LEAST_SUM)).permute(0, 3, 1, 2)

    def _scale(self) -> Tensor:
        """e^τ within its bounds; a τ beyond them has no gradient, also where e^τ is infinite."""
        least, most = map(math.log, SCALES)
        return accumulate(self.temperature).clamp(least, most).exp()

    def _exponents(self, dtype: torch.dtype) -> Tensor:
        """The logarithm of the Gaussian, `[D²]`."""
        line = torch.linspace(-1, 1, 2 * self.radius + 1, dtype=dtype, device=self.sigma.device).square()
        variance = self.sigma.to(dtype).square().clamp(min=LEAST_VARIANCE)
        return (-(line[:, None] + line) / (2 * variance)).flatten()


@register_upsampler("jbu")
class JBU(Upsampler):
    """One step of joint bilateral upsampling, at any ratio.

    Args:
        de_channels, en_channels, scale_factor, start: see `Upsampler`.
        image_channels: of the image.
        embed_channels: of the space in which pixels are compared.
        radius: of the window, (2·radius + 1)².
    """

    needs_image = True
    works_channels_last = True
    official_keys = {theirs: f"step.{ours}" for theirs, ours in OF_A_STEP.items()}

    def __init__(
        self,
        de_channels: int,
        en_channels: int | None = None,
        scale_factor: int = 2,
        *,
        image_channels: int = 3,
        embed_channels: int = 32,
        radius: int = 3,
        start: Start = "published",
    ) -> None:
        super().__init__(de_channels, en_channels, scale_factor, start=start)
        self.step = BilateralStep(image_channels, embed_channels, radius)
        self.apply_start()

    def start_neutral(self) -> None:
        """Bicubic interpolation, nearly unfiltered."""
        self.step.start_neutral()

    def upsample(self, de: Tensor, en: Tensor | None, size: Size, state: Any, image: Tensor | None = None) -> Tensor:
        """`[B, C, h, w]`, `[B, C_img, ≥ H, ≥ W]` → `[B, C, *size]`."""
        assert image is not None
        check_map(type(self).__name__, "image", image, self.step.image_channels)
        out: Tensor = self.step(de, adaptive_average(image, size))
        return out


def _sums_are_large(alike: Tensor) -> bool:
    """Whether Σ ργ is nowhere as small as LEAST_SUM, so that softmax and Gaussian are one softmax; else not known.

    The window's centre alone, whose γ is 1, has ρ ≥ exp(its logit - the largest) / D². `[B, H, W, D²]`; graphs that
    serve any values can't ask, and other devices would have to be waited for.
    """
    if torch.compiler.is_compiling() or not transforms.nothing_looks_on(alike) or not alike.is_cpu or not alike.numel():
        return False
    with torch.no_grad():
        most = (alike.amax(3) - alike[..., alike.shape[3] // 2]).max()
        return bool(most < -math.log(LEAST_SUM * alike.shape[3]))


def _apply(projection: nn.Sequential, x: Tensor) -> Tensor:
    """The projection of a map, its convolutions by the kernels where these serve."""
    for module in projection:
        x = convolve(module, x) if isinstance(module, nn.Conv2d) else module(x)
    return x


def _projection(inputs: int, width: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(inputs, width, 1), nn.GELU(), ChannelDropout(0.1), nn.Conv2d(width, outputs, 1))
