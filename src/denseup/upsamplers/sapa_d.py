"""SAPA-D: similarity-aware point affiliation with dynamic points. Liu et al., arXiv:2307.08198 (SAPA, NeurIPS 2022).

Where SAPA asks the K×K pixels around each point how alike they are to it, SAPA-D asks P points at learned places:

    q = conv1×1(en), κ = conv1×1(de),   positions = ⌊y·h/H⌋, ⌊x·w/W⌋ + pixel_shuffle(conv1×1(de))      for each group
    weights = softmax over the P points of ⟨q, κ(at the point)⟩;   out = Σ_p weights_p · de(at the point)

There is no scaling by 1/√d, and a point beyond the map has similarity 0 and value 0 but keeps its share, so that
borders lose mass: both as the authors have it. With `norm`, queries, keys and offsets see features after group
normalisation; the values are the raw `de`.

Equals the authors' code (no licence is stated there; nothing is taken from it). Ours adds any size (the offsets of the
s-times grid are resized by nearest neighbour), CPUs, and an early error for channels that do not fit.

Names of the authors → ours: dim_y → en_channels, dim_x → de_channels, num_point → points, embedding_dim →
embed_channels, high_offset → fine_offsets; norm_y, norm_x → norm_en, norm_de; q → embed_query, k → embed_key. Their
call is (en, de), ours (de, en).
"""

import math
from typing import Any

import torch
from torch import Tensor, nn

from denseup.ops import resize_nearest
from denseup.ops.arguments import true_or_false
from denseup.ops.arithmetic import accumulate
from denseup.ops.geometry import Size, parent_grid, pixel_shuffle
from denseup.ops.normalization import GroupNorm
from denseup.ops.points import gather_points, point_similarity
from denseup.ops.pointwise import convolve
from denseup.upsamplers.arguments import check_divides, whole_option
from denseup.upsamplers.base import Upsampler
from denseup.upsamplers.registry import register_upsampler
from denseup.upsamplers.start import Start, quieten

NORM_GROUPS = 32
NEUTRAL_RADIUS = 0.25
"""Of the disc of points around where bilinear interpolation reads, in pixels of `de`, in the neutral start."""
GOLDEN_ANGLE = math.pi * (3 - math.sqrt(5))


@register_upsampler("sapa_d")
class SAPAD(Upsampler):
    """Weighted sums over points at learned places, by their similarity with the encoder feature.

    Args:
        de_channels, en_channels, scale_factor, start: see `Upsampler`.
        points: P, of each output pixel.
        groups: G groups of channels, each with points of its own.
        embed_channels: channels of each group in which similarity is measured.
        fine_offsets: whether each sub-position of a source pixel has points of its own.
        norm: normalise what queries, keys and offsets are made of.

    Raises:
        ValueError: groups does not divide de_channels, or with norm 32 does not divide both channels.
    """

    norm_en: nn.Module
    norm_de: nn.Module
    guided = True
    works_channels_last = True
    official_keys = {"norm_y": "norm_en", "norm_x": "norm_de", "q": "embed_query", "k": "embed_key"}

    def __init__(
        self,
        de_channels: int,
        en_channels: int | None = None,
        scale_factor: int = 2,
        *,
        points: int = 9,
        groups: int = 4,
        embed_channels: int = 32,
        fine_offsets: bool = True,
        norm: bool = False,
        start: Start = "published",
    ) -> None:
        super().__init__(de_channels, en_channels, scale_factor, start=start)
        self.points, self.groups = whole_option("points", points), whole_option("groups", groups)
        check_divides("groups", self.groups, self.de_channels)
        embed = self.groups * whole_option("embed_channels", embed_channels)
        self.fine_offsets, norm = true_or_false("fine_offsets", fine_offsets), true_or_false("norm", norm)
        self.norm_en: nn.Module
        self.norm_de: nn.Module
        for name in ("en", "de"):
            channels = getattr(self, f"{name}_channels")
            if norm and channels % NORM_GROUPS:
                raise ValueError(f"{name}_channels is {channels}, expected a multiple of {NORM_GROUPS} with norm")
            self.add_module(f"norm_{name}", GroupNorm(NORM_GROUPS, channels) if norm else nn.Identity())
        self.embed_query = nn.Conv2d(self.en_channels, embed, 1)
        self.embed_key = nn.Conv2d(self.de_channels, embed, 1)
        cells = self.scale_factor**2 if fine_offsets else 1
        self.offset = nn.Conv2d(self.de_channels, 2 * self.groups * self.points * cells, 1)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Normal weights of deviation 0.02 and zero biases."""
        for conv in (self.embed_query, self.embed_key, self.offset):
            nn.init.normal_(conv.weight, std=0.02)
            assert conv.bias is not None
            nn.init.zeros_(conv.bias)
        self.apply_start()

    def start_neutral(self) -> None:
        """Queries near 0, and points that surround where bilinear interpolation reads."""
        quieten(self.embed_query)
        quieten(self.offset)
        assert self.offset.bias is not None
        with torch.no_grad():
            self.offset.bias.copy_(self._around_the_centre())

    def upsample(self, de: Tensor, en: Tensor | None, size: Size, state: Any) -> Tensor:
        """`[B, C_de, h, w]`, `[B, C_en, *size]` → `[B, C_de, *size]`."""
        assert en is not None
        normed = self.norm_de(de)
        positions = self.positions(normed, size)
        query, key = convolve(self.embed_query, self.norm_en(en)), convolve(self.embed_key, normed)
        logits = point_similarity(accumulate(query), key, positions)
        return gather_points(de, logits.softmax(2), positions)

    def positions(self, de: Tensor, size: Size) -> Tensor:
        """`[B, C_de, h, w]` → `[B, P, 2, G, *size]` in pixels of `de`, columns first."""
        offsets = convolve(self.offset, de)
        if self.fine_offsets:
            offsets = pixel_shuffle(offsets, self.scale_factor)
        offsets = resize_nearest(offsets.to(torch.promote_types(offsets.dtype, torch.float32)), size)
        of_groups = offsets.reshape(offsets.shape[0], self.groups, self.points, 2, *size)
        by_point = of_groups.permute(0, 2, 3, 1, 4, 5)
        return by_point + parent_grid(de, size, offsets.dtype)[:, None]

    def _around_the_centre(self) -> Tensor:
        """Offsets of the neutral start, `[G·P·2·s²]`: on a spiral, which fills a disc with any number of points."""
        factor = self.scale_factor if self.fine_offsets else 1
        cells = (torch.arange(factor, dtype=torch.float32) + 0.5) / factor - 0.5
        order = torch.arange(self.points, dtype=torch.float32)
        radius, angle = NEUTRAL_RADIUS * ((order + 0.5) / self.points).sqrt(), GOLDEN_ANGLE * order
        spiral = torch.stack([radius * angle.cos(), radius * angle.sin()], 1)
        spiral = spiral - spiral.mean(0)
        centres = torch.stack([cells.expand(factor, factor), cells[:, None].expand(factor, factor)])
        return (spiral[:, :, None, None] + centres).flatten().repeat(self.groups)
