"""DySample: upsampling by learned sampling. Liu et al., ICCV 2023, arXiv:2308.15085.

No kernels: every output pixel reads the decoder feature at one learned position for each group of channels, by bilinear
interpolation. The position is where bilinear interpolation would read, plus an offset from the decoder feature, in its
pixels. With zero offsets it is bilinear interpolation, whence it starts.

    lp ("linear, then pixel shuffle"):  offset = pixel_shuffle(conv1×1(de))·0.25
    pl ("pixel shuffle, then linear"):  offset = conv1×1(pixel_shuffle(de))·0.25
    with a dynamic scope:               offset = conv(·)·sigmoid(scope(·))·0.5

The paper's DySample, DySample+, DySample-S and DySample-S+ are `dysample`, `dysample_scope`, `dysample_pl` and
`dysample_pl_scope`. Equals the authors' code (MIT; nothing is taken from it) where the output is exactly s times the
input. Ours differs in: any size (the offsets of the s-times grid are resized by nearest neighbour); positions in at
least float32 whatever the dtype (in bfloat16 they would be off by whole pixels on a large map); gradients of second
order; and `init_pos`, where bilinear interpolation reads, is computed and no buffer of the state_dict.

Names of the authors → ours: in_channels → de_channels, scale → scale_factor, dyscope → dynamic_scope.
"""

from typing import Any, Literal

import torch
from torch import Tensor, nn

from denseup.ops import resize_nearest, sample_bilinear
from denseup.ops.arguments import one_of, true_or_false
from denseup.ops.geometry import Size, centre_grid, layout, pixel_shuffle
from denseup.ops.pointwise import convolve
from denseup.upsamplers.arguments import check_divides, whole_option
from denseup.upsamplers.base import Upsampler
from denseup.upsamplers.registry import register_upsampler
from denseup.upsamplers.start import Start


@register_upsampler("dysample")
@register_upsampler("dysample_scope", style="lp", dynamic_scope=True)
@register_upsampler("dysample_pl", style="pl")
@register_upsampler("dysample_pl_scope", style="pl", dynamic_scope=True)
class DySample(Upsampler):
    """Point sampling with dynamic offsets.

    Args:
        de_channels, en_channels, scale_factor, start: see `Upsampler`; the guide only gives the size.
        style: "lp" predicts the offsets at low resolution, "pl" at high resolution from a shuffled map, with s⁴ times
            fewer parameters.
        groups: groups of channels, each with positions of its own.
        dynamic_scope: learn the range of the offsets too.

    Raises:
        ValueError: unknown style, or channels that do not divide as the groups or the shuffle need.
    """

    works_channels_last = True
    official_keys = {"init_pos": None}

    def __init__(
        self,
        de_channels: int,
        en_channels: int | None = None,
        scale_factor: int = 2,
        *,
        style: Literal["lp", "pl"] = "lp",
        groups: int = 4,
        dynamic_scope: bool = False,
        start: Start = "published",
    ) -> None:
        super().__init__(de_channels, en_channels, scale_factor, start=start)
        one_of("style", style, ("lp", "pl"))
        dynamic_scope = true_or_false("dynamic_scope", dynamic_scope)
        de_channels, scale_factor, groups = self.de_channels, self.scale_factor, whole_option("groups", groups)
        check_divides("groups", groups, de_channels)
        cells = scale_factor**2
        if style == "pl" and de_channels % cells:
            raise ValueError(f"de_channels is {de_channels}, expected a multiple of scale_factor², {cells}, for 'pl'")
        self.style, self.groups = style, groups
        channels = (de_channels, 2 * groups * cells) if style == "lp" else (de_channels // cells, 2 * groups)
        self.offset = nn.Conv2d(*channels, 1)
        self.scope = nn.Conv2d(*channels, 1, bias=False) if dynamic_scope else None
        self.reset_parameters()

    def official_constants(self) -> dict[str, Tensor]:
        """Where bilinear interpolation reads."""
        return {"init_pos": initial_positions(self.scale_factor, self.groups)}

    def reset_parameters(self) -> None:
        """Offsets near 0: near bilinear interpolation, and so neutral already; the scope in the middle of its range."""
        nn.init.normal_(self.offset.weight, std=0.001)
        assert self.offset.bias is not None
        nn.init.zeros_(self.offset.bias)
        if self.scope is not None:
            nn.init.zeros_(self.scope.weight)

    def upsample(self, de: Tensor, en: Tensor | None, size: Size, state: Any) -> Tensor:
        """`[B, C, h, w]` → `[B, C, *size]`."""
        offsets = self.offsets(de)
        offsets = resize_nearest(offsets.to(torch.promote_types(offsets.dtype, torch.float32)), size)
        return sample_bilinear(de, centre_grid(de, size, offsets.dtype, self.groups) + offsets, self.groups)

    def offsets(self, de: Tensor) -> Tensor:
        """Learned offsets `[B, 2·G, s·h, s·w]` in pixels of `de`: to the right for each group, then downwards."""
        cells = self.scale_factor**2
        shuffle_first = self.style == "pl" and layout(de) is torch.channels_last
        x = de
        if shuffle_first:
            x = pixel_shuffle(de, self.scale_factor)
        elif self.style == "pl":  # the same, linear on each of the s² cells before they are shuffled: no map to move
            x = de.reshape(de.shape[0], self.de_channels // cells, cells * de.shape[2], de.shape[3])
        offsets = convolve(self.offset, x)
        offsets = 0.25 * offsets if self.scope is None else 0.5 * offsets * torch.sigmoid(convolve(self.scope, x))
        if shuffle_first:
            return offsets
        return pixel_shuffle(offsets.reshape(de.shape[0], 2 * self.groups * cells, *de.shape[2:]), self.scale_factor)


def initial_positions(factor: int, groups: int) -> Tensor:
    """Centres of the s² cells of a pixel from its own, in pixels, as the authors save them: `[1, 2·G·s², 1, 1]`.

    Columns first, for each group the cells by rows.
    """
    line = (torch.arange(factor, dtype=torch.float32) - (factor - 1) / 2) / factor
    cells = torch.stack([line.expand(factor, factor), line[:, None].expand(factor, factor)])
    return cells[:, None].expand(2, groups, factor, factor).reshape(1, -1, 1, 1)
