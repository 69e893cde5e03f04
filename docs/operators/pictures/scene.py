"""What the operators are shown on: a square with a sharp corner and a thin line, on a background of other texture."""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

SIZE = 48
"""Side of the output, and of the guide."""
LOW = SIZE // 2
CHANNELS = 8
POSITIONS = {"flat": (30, 33), "edge": (30, 17), "corner": (17, 17)}
"""Output pixels whose kernels are drawn: row, column."""
SQUARE = 17
SUPERSAMPLING = 8
SLANT = 0.12
"""The square's edges are turned by this many pixels a pixel, so that they meet the grid at all phases."""
NOISE = 0.1


class Scene(NamedTuple):
    """The maps of one image."""

    image: Tensor
    """`[1, 3, SIZE, SIZE]`, the guide."""
    de: Tensor
    """`[1, CHANNELS, LOW, LOW]`: what the mask looks like to a decoder."""
    target: Tensor
    """`[1, CHANNELS, SIZE, SIZE]`: the same at the image's resolution, without noise."""
    decode: Tensor
    """`[CHANNELS]`: the channels weighted by it give the mask."""

    def mask(self, features: Tensor) -> Tensor:
        """The mask that features `[1, CHANNELS, H, W]` hold: `[H, W]`."""
        return torch.einsum("c,chw->hw", self.decode, features[0])


def make_scene() -> Scene:
    """The scene: always the same."""
    draw = torch.Generator().manual_seed(1)
    mask = _mask()
    colours = torch.tensor([[0.85, 0.45, 0.2], [0.2, 0.4, 0.65]])
    texture = 0.12 * torch.randn(1, 3, SIZE, SIZE, generator=draw)
    image = mask * colours[0][:, None, None] + (1 - mask) * colours[1][:, None, None] + texture
    mixture = torch.randn(CHANNELS, 2, generator=draw)
    target = torch.einsum("cm,bmhw->bchw", mixture, torch.cat([mask, 1 - mask], 1))
    de = F.avg_pool2d(target, 2) + NOISE * torch.randn(1, CHANNELS, LOW, LOW, generator=draw)
    return Scene(image.clamp(0, 1), de, target, torch.linalg.pinv(mixture)[0])


def _mask() -> Tensor:
    """The share of each pixel that is square or line: `[1, 1, SIZE, SIZE]`."""
    fine = (torch.arange(SIZE * SUPERSAMPLING) + 0.5) / SUPERSAMPLING
    row, column = fine[:, None], fine[None, :]
    square = (row > SQUARE + SLANT * (column - SQUARE)) & (column > SQUARE - SLANT * (row - SQUARE))
    square &= (row < 40) & (column < 40)
    line = (row - 0.35 * column - 2).abs() < 0.8
    return F.avg_pool2d((square | line).float()[None, None], SUPERSAMPLING)
