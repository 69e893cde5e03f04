"""What an encoder is: an image in, maps at falling resolutions out.

A decoder reads `channels` and `strides` and fits itself to them; it never asks which encoder it holds.
"""

from collections.abc import Callable, Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from denseup.ops.geometry import Size, divided_up

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)

Colour = tuple[float, float, float]
Pool = Callable[[Tensor], Tensor]
"""Halves a map `[B, C, H, W]`, rounding up."""


class Encoder(nn.Module):
    """Normalised image, with further channels behind the RGB if there are more → maps, the finest first.

    A subclass sets the attributes and implements `forward`.

    Attributes:
        in_channels: of the input.
        channels: of the maps.
        strides: of the maps; a map of stride s is `[B, C, ⌈H/s⌉, ⌈W/s⌉]`.
        mean, std: of the RGB in [0, 1], by which the input is normalised.
        least_side: of the images that it takes; networks pad smaller ones.
    """

    leaves_pooling: ClassVar[bool] = False
    """Halves its map by what `forward` is given as `pools`: the upsamplers of a decoder that mirrors it."""

    in_channels: int
    channels: list[int]
    strides: list[int]
    mean: Colour = IMAGENET_MEAN
    std: Colour = IMAGENET_STD
    least_side: int = 1

    def forward(self, x: Tensor) -> list[Tensor]:
        """`[B, in_channels, H, W]` → maps, the finest first."""
        raise NotImplementedError(f"{type(self).__name__} must implement forward")

    def reset_parameters(self) -> None:
        """For networks that initialise all convolutions by one rule; an encoder with a start of its own keeps it."""


class PoolingEncoder(Encoder):
    """An encoder that leaves its pooling to others, so that a pair of operators may own down- and upsampling.

    Attributes:
        guides: channels of the maps that are pooled, the finest first; the i-th has the stride of the i-th map.
    """

    leaves_pooling = True
    guides: list[int]

    def forward(self, x: Tensor, pools: Sequence[Pool] | None = None) -> list[Tensor]:
        """`[B, in_channels, H, W]` → maps, the finest first.

        Args:
            x: the input.
            pools: what halves the maps, the finest first; None: max pooling.
        """
        raise NotImplementedError(f"{type(self).__name__} must implement forward")


class KeepsNormalisation(Encoder):
    """An encoder whose weights come with a normalisation of their own; it is saved and loaded with them."""

    def get_extra_state(self) -> Tensor:
        """`[2, 3]`: mean and deviation."""
        return torch.tensor([self.mean, self.std], dtype=torch.float64, device="cpu")

    def set_extra_state(self, state: Tensor) -> None:
        """Take over what `get_extra_state` gave."""
        (r, g, b), (dr, dg, db) = state.tolist()
        self.mean, self.std = (r, g, b), (dr, dg, db)


def max_pool(x: Tensor) -> Tensor:
    """2×2 max pooling, `[B, C, H, W]` → `[B, C, ⌈H/2⌉, ⌈W/2⌉]`."""
    return F.max_pool2d(x, 2, ceil_mode=True)


def pad_to_side(x: Tensor, least_side: int) -> Tensor:
    """Pad sides shorter than `least_side` right and bottom by zeros: the mean colour of a normalised image."""
    height, width = x.shape[2:]
    if least_side <= 1:
        return x
    if torch.compiler.is_exporting():  # a graph for any size pads by what is missing, or by nothing
        return F.pad(x, (0, torch.sym_max(least_side - width, 0), 0, torch.sym_max(least_side - height, 0)))
    if height >= least_side and width >= least_side:
        return x
    return F.pad(x, (0, max(least_side - width, 0), 0, max(least_side - height, 0)))


def pad_to_multiple(x: Tensor, multiple: int) -> Tensor:
    """Pad right and bottom by zeros to a multiple, for encoders whose strided convolutions drop the last pixels."""
    height, width = x.shape[2:]
    return F.pad(x, (0, -width % multiple, 0, -height % multiple))


def crop(maps: Sequence[Tensor], strides: Sequence[int], size: Size) -> list[Tensor]:
    """The part of each map that belongs to an image of this size: ⌈H/s⌉ × ⌈W/s⌉."""
    height, width = size
    return [x[..., : divided_up(height, s), : divided_up(width, s)] for x, s in zip(maps, strides, strict=True)]
