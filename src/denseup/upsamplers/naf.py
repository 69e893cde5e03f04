"""NAF: zero-shot feature upsampling by neighbourhood attention filtering. Chambon et al., 2025, arXiv:2511.18452.

The image alone says which low-resolution pixels an output pixel is made of, so no weight depends on the features, and
one trained module raises any:

    f = [branch_1×1(image), branch_3×3(image)] pooled to the output;   q = f with a rotary position, κ = q pooled to h×w
    out = attention of q over the K×K neighbours of its source pixel, with keys κ and values de, in N heads

A branch is a convolution and L blocks of GroupNorm, SiLU, convolution, twice, without a shortcut, and with maps folded
back at their ends. The window moves inwards at borders; nothing is padded. An image more than four times as large as
the output is first resized to that.

At whole-number ratios this equals the authors' code (Apache-2.0, its rotary file under the DINOv3 licence; nothing is
taken from either): they enlarge keys and values and attend to every s-th of them, which are the same. At other ratios
theirs attends to the output positions of the same residue modulo ⌊H/h⌋, whose low-resolution pixels repeat or drop out
irregularly. That is what published weights have seen, and the default, `neighbours="published"`; "regular" takes the
window around the source pixel in which the output pixel's centre lies. Ours differs in: the random scale of positions
in training, which theirs draws once for each size of map and then keeps, in evaluation too; images of one pixel; maps
smaller than the window, which are seen whole; large images of another shape than the output's, which theirs squeezes;
positions in float32 at least.

Names of the authors → ours: dim → embed_channels, heads_attn → heads, heads_rope → rotary_heads, img_layers → blocks;
image_encoder.encoder, image_encoder.sem_encoder → branches.0, branches.1. Their call is (image, features, output_size).
"""

import math
from collections.abc import Callable, Sequence
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from denseup.ops import neighbourhood_attention, transforms
from denseup.ops.arguments import one_of
from denseup.ops.arithmetic import accumulate, unflatten
from denseup.ops.attention.centres import attend_at_centres
from denseup.ops.attention.residues import attend_by_index, attend_by_residue
from denseup.ops.geometry import Size, at_most, layout, pad_by_reflection, size_of
from denseup.ops.normalization import GroupNorm
from denseup.ops.pointwise import convolve
from denseup.ops.pooling import adaptive_average
from denseup.upsamplers.arguments import check_divides, check_map, whole_option
from denseup.upsamplers.base import Upsampler
from denseup.upsamplers.drawing import Drawing
from denseup.upsamplers.registry import register_upsampler
from denseup.upsamplers.start import Start, quieten

NORM_GROUPS = 8
BASE = 100.0
"""Of the periods of rotary positions."""
NEUTRAL_LEVEL = 4.0
"""Of all features, in the neutral start."""
NEIGHBOURS = ("published", "regular")


@register_upsampler("naf")
class NAF(Upsampler):
    """Attention over a low-resolution neighbourhood, by queries and keys from the image.

    Args:
        de_channels, en_channels, scale_factor, start: see `Upsampler`.
        kernel_size: K of the neighbourhood.
        embed_channels: D, of queries and keys.
        heads: N, of the attention; each takes de_channels / N channels.
        rotary_heads: parts of the queries that are rotated alike.
        blocks: L, of each branch.
        image_channels: of the image.
        largest_image: times the output's size; a larger image is resized to that. Time and memory go with its square.
        neighbours: at ratios that are no whole numbers, the "published" ones or "regular" ones.

    Raises:
        ValueError: channels do not divide as heads and norms need, or unknown neighbours.
    """

    needs_image = True
    direct = True
    official_keys = {
        "image_encoder.encoder": "branches.0",
        "image_encoder.sem_encoder": "branches.1",
        "image_encoder.rope.periods": None,
    }

    def __init__(
        self,
        de_channels: int,
        en_channels: int | None = None,
        scale_factor: int = 2,
        *,
        kernel_size: int = 9,
        embed_channels: int = 256,
        heads: int = 4,
        rotary_heads: int = 4,
        blocks: int = 2,
        image_channels: int = 3,
        largest_image: int = 4,
        neighbours: Literal["published", "regular"] = "published",
        start: Start = "published",
    ) -> None:
        super().__init__(de_channels, en_channels, scale_factor, start=start)
        self.kernel_size, self.heads = whole_option("kernel_size", kernel_size), whole_option("heads", heads)
        check_divides("heads", self.heads, self.de_channels)
        embed_channels, self.rotary_heads = (
            whole_option("embed_channels", embed_channels),
            whole_option("rotary_heads", rotary_heads),
        )
        for name, divisor in (
            ("twice the groups of its norms", 2 * NORM_GROUPS),
            ("heads", self.heads),
            ("four times rotary_heads", 4 * self.rotary_heads),
        ):
            if embed_channels % divisor:
                raise ValueError(f"embed_channels is {embed_channels}, expected a multiple of {name}, {divisor}")
        one_of("neighbours", neighbours, NEIGHBOURS)
        self.neighbours = neighbours
        self.image_channels = whole_option("image_channels", image_channels)
        self.largest_image, blocks = whole_option("largest_image", largest_image), whole_option("blocks", blocks)
        self.branches = nn.ModuleList(
            nn.Sequential(
                convolution(self.image_channels, embed_channels // 2, size),
                *(Block(embed_channels // 2, size) for _ in range(blocks)),
            )
            for size in (1, 3)
        )
        self.rotation = Rotation(embed_channels // self.rotary_heads)
        self.apply_start()

    def official_constants(self) -> dict[str, Tensor]:
        """The periods of the rotary positions."""
        return {"image_encoder.rope.periods": self.rotation.periods()}

    def start_neutral(self) -> None:
        """Features that are nearly constant: what is left is the rotation, by which the nearest pixels are most alike.

        How fast that falls off depends on the map, whose positions are relative to its size: by e⁻² to the next pixel
        where there are some 17, less fast on larger maps.
        """
        for branch in self.branches:
            assert isinstance(branch, nn.Sequential)
            quieten(branch[-1].get_submodule("conv2"), NEUTRAL_LEVEL)

    def upsample(self, de: Tensor, en: Tensor | None, size: Size, state: Any, image: Tensor | None = None) -> Tensor:
        """`[B, C, h, w]`, `[B, C_img, ≥ H, ≥ W]` → `[B, C, *size]`."""
        assert image is not None
        check_map(type(self).__name__, "image", image, self.image_channels)
        query = self.query(image, size)
        key = adaptive_average(query, size_of(de))
        unknown = transforms.takes_any_size(*size, *size_of(de))
        if not unknown and not any(out % low for out, low in zip(size, size_of(de), strict=True)):
            attend: Callable[[Tensor, Tensor, Tensor, int, int], Tensor] = neighbourhood_attention
        elif self.neighbours == "regular":
            attend = attend_at_centres
        else:
            attend = attend_by_index if unknown else attend_by_residue
        return attend(query, key, de.to(query.dtype), self.kernel_size, self.heads).to(de.dtype)

    def query(self, image: Tensor, size: Size) -> Tensor:
        """`[B, C_img, ≥ H, ≥ W]` → `[B, D, *size]`."""
        image = _no_larger(image, [self.largest_image * length for length in size])
        features = [adaptive_average(branch(image), size) for branch in self.branches]
        rotated: Tensor = self.rotation(torch.cat(features, 1), self.rotary_heads)
        return rotated


class FoldedConv2d(nn.Conv2d):
    """A convolution that keeps the size and folds the map back at its ends, of any size."""

    def forward(self, x: Tensor) -> Tensor:
        """`[B, C, H, W]` → `[B, C_out, H, W]`."""
        return super().forward(pad_by_reflection(x, self.kernel_size[0] // 2))


def convolution(inputs: int, outputs: int, kernel_size: int) -> nn.Conv2d:
    """One that keeps the size."""
    return nn.Conv2d(inputs, outputs, 1) if kernel_size == 1 else FoldedConv2d(inputs, outputs, kernel_size)


class Block(nn.Module):
    """Norm, SiLU, convolution, twice."""

    def __init__(self, channels: int, kernel_size: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = (GroupNorm(NORM_GROUPS, channels) for _ in range(2))
        self.conv1, self.conv2 = (convolution(channels, channels, kernel_size) for _ in range(2))

    def forward(self, x: Tensor) -> Tensor:
        """`[B, C, H, W]` → the same."""
        for norm, conv in ((self.norm1, self.conv1), (self.norm2, self.conv2)):
            x = convolve(conv, F.silu(norm(x)))
        return x


class Rotation(Drawing):
    """Rotary positions: pairs of channels turn with the row, other pairs with the column (Su et al., arXiv:2104.09864).

    In training all positions are multiplied by one number, drawn log-uniformly from ½ to 2.

    Args:
        channels: d of a head, a multiple of 4. Pair i is made of channels i and i + d/2.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.channels = channels

    def forward(self, x: Tensor, heads: int) -> Tensor:
        """`[B, heads·d, H, W]` → the same, turned in float32 at least, and in its layout."""
        wide = accumulate(x)
        angles = self.angles(size_of(x), wide)
        if self.training:
            angles = angles * 2 ** (2 * self.uniform((), wide) - 1).to(wide.dtype)
        if layout(x) is torch.channels_last:
            apart, dim = unflatten(wide.permute(0, 2, 3, 1), 3, (heads, 2, -1)), 3
            angles = angles.permute(1, 2, 0)[:, :, None]
        else:
            apart, dim = unflatten(wide, 1, (heads, 2, -1)), 1
        cos, sin = angles.cos(), angles.sin()
        first, second = apart.unbind(dim + 1)
        halves = first * cos - second * sin, second * cos + first * sin
        if transforms.may_be_symbols(*size_of(x)):  # inductor can't order the strides of a view (torch 2.13)
            heads_apart = zip(*(half.unbind(dim) for half in halves), strict=True)
            turned = torch.cat([half for head in heads_apart for half in head], dim).to(x.dtype)
        else:  # the same, and up to twice as fast
            turned = torch.stack(halves, dim + 1).to(x.dtype).flatten(dim, dim + 2)
        return turned.permute(0, 3, 1, 2) if dim == 3 else turned

    def periods(self, device: torch.device | None = None) -> Tensor:
        """`[d/4]`, from 1, relative to half of a map's length."""
        exponents = torch.arange(self.channels // 4, dtype=torch.float32, device=device) * (4 / self.channels)
        found: Tensor = BASE**exponents
        return found

    def angles(self, size: Size, like: Tensor) -> Tensor:
        """`[d/2, H, W]`: those of the rows first."""
        number = self.channels // 4
        periods = self.periods(like.device).to(like.dtype)
        along = []
        for length in size:
            centres = (torch.arange(length, dtype=like.dtype, device=like.device) + 0.5) * (2 / length) - 1
            along.append(2 * math.pi * centres / periods[:, None])
        rows, columns = along[0][:, :, None], along[1][:, None, :]
        return torch.cat([rows.expand(number, *size), columns.expand(number, *size)])


def _no_larger(image: Tensor, most: Sequence[int]) -> Tensor:
    """The image, resized where a side is longer than `most`."""
    limits = [at_most(*lengths) for lengths in zip(size_of(image), most, strict=True)]
    if not transforms.takes_any_size(*image.shape[2:], *limits) and tuple(limits) == size_of(image):
        return image
    return F.interpolate(image, limits, mode="bilinear", align_corners=False)
