"""LDA-AQU: adaptive query-guided upsampling by local deformable attention. Du et al., ACM MM 2024, arXiv:2411.19585.

Every output pixel asks k² points of the decoder feature around it, at learned distances, how alike they are to it:

    q, κ = projections of LN(de);   q resized to the output, bilinear with aligned corners;   v = the raw de
    T = conv(GELU(LN(depthwise conv(q)))),   Δ = R·tanh(T) + grid of the k² taps         in output pixels
    logit_t = ⟨q, κ(at tap t) + β_t⟩ / √d;   out = Σ_t softmax_t · v(at tap t)

for each group of channels with taps of its own. A tap beyond the map has κ = 0 and v = 0, so that borders lose mass;
and as corners are aligned, the result is shifted by up to half an output pixel against operators with centres of
pixels: both as the authors have it.

Equals the authors' code (Apache-2.0; nothing is taken from it). Ours differs in: outputs of one row or column, where
theirs divide by zero; positions in float32 at least; the start of their neck, which their bare module lacks; k²·C maps
at the output's resolution, which are never made.

Names of the authors → ours: in_channels → de_channels, reduction_factor → reduction, nh → heads, n_groups → groups, k_u
→ kernel_size, k_e → encoder_kernel_size, range_factor → reach, rpb → position_bias; proj_q → embed_query, proj_k →
embed_key, conv_offset.{0,1,3} → offset.{0,1,3}, layer_norm → norm, relative_position_bias_table → bias.
"""

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from denseup.ops.arguments import finite_number, true_or_false
from denseup.ops.arithmetic import accumulate, by_group
from denseup.ops.geometry import Size, at_most, position_grid, size_of
from denseup.ops.normalization import LayerNorm
from denseup.ops.points import gather_points, point_similarity
from denseup.ops.pointwise import convolve
from denseup.upsamplers.arguments import odd_option, whole_option
from denseup.upsamplers.base import Upsampler
from denseup.upsamplers.registry import register_upsampler
from denseup.upsamplers.start import Start, quieten


class ChannelNorm(nn.Module):
    """Layer normalisation over the channels of a map."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = LayerNorm(channels)

    def forward(self, x: Tensor) -> Tensor:
        """`[B, C, H, W]` → the same."""
        normed: Tensor = self.norm(x.permute(0, 2, 3, 1))
        return normed.permute(0, 3, 1, 2)


@register_upsampler("lda_aqu")
class LDAAQU(Upsampler):
    """Local deformable attention (eq. 3-9).

    Args:
        de_channels, en_channels, scale_factor, start: see `Upsampler`; the guide only gives the size.
        kernel_size: k of the k² taps, odd.
        reduction: queries and keys have de_channels / reduction channels.
        groups: groups of channels, each with taps of its own.
        heads: of the attention, each with weights of its own.
        encoder_kernel_size: of the last convolution that predicts the taps, odd.
        reach: R, how far a tap can move, in output pixels.
        position_bias: whether keys have a learned part for each tap.

    Raises:
        ValueError: a size of a kernel is even, or the channels do not divide by reduction times groups and heads.
    """

    works_channels_last = True
    official_keys = {
        "proj_q": "embed_query",
        "proj_k": "embed_key",
        "conv_offset": "offset",
        "layer_norm": "norm",
        "relative_position_bias_table": "bias",
    }

    def __init__(
        self,
        de_channels: int,
        en_channels: int | None = None,
        scale_factor: int = 2,
        *,
        kernel_size: int = 3,
        reduction: int = 4,
        groups: int = 2,
        heads: int = 1,
        encoder_kernel_size: int = 3,
        reach: float = 11,
        position_bias: bool = True,
        start: Start = "published",
    ) -> None:
        super().__init__(de_channels, en_channels, scale_factor, start=start)
        self.kernel_size = odd_option("kernel_size", kernel_size)
        self.groups, self.heads = whole_option("groups", groups), whole_option("heads", heads)
        self.reach, reduction = finite_number("reach", reach), whole_option("reduction", reduction)
        for name, parts in (("groups", self.groups), ("heads", self.heads)):
            if self.de_channels % (reduction * parts):
                raise ValueError(
                    f"de_channels is {self.de_channels}, expected a multiple of reduction times {name}, "
                    f"{reduction * parts}"
                )
        embed, taps = self.de_channels // reduction, self.kernel_size**2
        self.norm = ChannelNorm(self.de_channels)
        self.embed_query, self.embed_key = (nn.Conv2d(self.de_channels, embed, 1, bias=False) for _ in range(2))
        own = embed // self.groups
        encoder_kernel_size = odd_option("encoder_kernel_size", encoder_kernel_size)
        self.offset = nn.Sequential(
            nn.Conv2d(own, own, 3, padding=1, groups=own, bias=False),
            ChannelNorm(own),
            nn.GELU(),
            nn.Conv2d(own, 2 * taps, encoder_kernel_size, padding=encoder_kernel_size // 2),
        )
        self.bias = (
            nn.Parameter(torch.zeros(self.heads, taps, embed // self.heads))
            if true_or_false("position_bias", position_bias)
            else None
        )
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Xavier uniform for the convolutions, no offsets from the grid of taps, truncated normal for the bias."""
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.xavier_uniform_(module.weight)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
        nn.init.zeros_(self.offset.get_parameter("3.weight"))
        if self.bias is not None:
            nn.init.trunc_normal_(self.bias, std=0.02)
        self.apply_start()

    def start_neutral(self) -> None:
        """Queries near 0, so that every tap is as alike as the next: the mean over the taps."""
        quieten(self.embed_query)

    def upsample(self, de: Tensor, en: Tensor | None, size: Size, state: Any) -> Tensor:
        """`[B, C, h, w]` → `[B, C, *size]`."""
        normed = self.norm(de)
        query = F.interpolate(convolve(self.embed_query, normed), size, mode="bilinear", align_corners=True)
        positions = self.positions(query, size_of(de))
        weights = self.logits(query, convolve(self.embed_key, normed), positions).softmax(2)
        blocks = math.lcm(self.groups, self.heads)
        weights = weights.repeat_interleave(blocks // self.heads, 1)
        return gather_points(de, weights, self._of_blocks(positions, blocks))

    def positions(self, query: Tensor, low: Size) -> Tensor:
        """Where the taps lie: `[B, embed, H, W]` → `[B, k², 2, G, H, W]` in pixels of `de`, columns first."""
        high, taps = size_of(query), self.kernel_size**2
        moves = self.offset(by_group(query, self.groups).flatten(0, 1))
        moves = moves.to(torch.promote_types(moves.dtype, torch.float32))
        moves = self.reach * torch.tanh(moves).reshape(query.shape[0], self.groups, taps, 2, *high)  # rows first
        line = torch.arange(self.kernel_size, device=moves.device, dtype=moves.dtype) - self.kernel_size // 2
        grid = torch.stack([line.repeat_interleave(self.kernel_size), line.repeat(self.kernel_size)], 1)
        moves = (moves + grid[:, :, None, None]).permute(0, 2, 3, 1, 4, 5).flip(2)
        rows, columns = (torch.arange(length, device=moves.device, dtype=moves.dtype) for length in high)
        base = position_grid(rows, columns)[:, None]
        steps = [_step(length, out) for length, out in zip(low[::-1], high[::-1], strict=True)]
        return torch.stack([(base[axis] + moves[:, :, axis]) * step for axis, step in enumerate(steps)], 2)

    def logits(self, query: Tensor, key: Tensor, positions: Tensor) -> Tensor:
        """`[B, N, k², H, W]`, in float32 at least."""
        blocks = math.lcm(self.groups, self.heads)
        query = accumulate(query)
        products = by_group(point_similarity(query, key, self._of_blocks(positions, blocks)), self.heads).sum(2)
        if self.bias is not None:
            products = products + torch.einsum(
                "bnchw,nkc->bnkhw", by_group(query, self.heads), self.bias.to(query.dtype)
            )
        return products / math.sqrt(query.shape[1] // self.heads)

    def _of_blocks(self, positions: Tensor, blocks: int) -> Tensor:
        """The same for blocks of channels, each of which lies in one group and in one head."""
        return positions.repeat_interleave(blocks // self.groups, 3) if blocks != self.groups else positions


def _step(length: int, output_length: int) -> Any:
    """Pixels of the input that an output pixel is wide where corners are aligned; 0 where there is but one pixel."""
    return (length - 1) / -at_most(1 - output_length, -1)
