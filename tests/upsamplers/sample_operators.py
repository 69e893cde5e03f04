"""Two operators for tests of what no published operator here does: to look at the image, to give back a changed en."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from denseup.upsamplers.base import Upsampler


class JointBilateral(Upsampler):
    """Mean of the 3×3 neighbours, weighted by how alike the image's colours are there and here (Kopf et al., 2007)."""

    needs_image = True

    def __init__(self, de_channels, en_channels=None, scale_factor=2):
        super().__init__(de_channels, en_channels, scale_factor)
        self.sharpness = nn.Parameter(torch.ones(1))

    def upsample(self, de, en, size, state, image=None):
        here = F.interpolate(image, size, mode="bilinear")
        there = neighbours(F.interpolate(here, de.shape[2:], mode="bilinear"), size)
        weights = (-self.sharpness * (here.unsqueeze(2) - there).square().sum(1, keepdim=True)).softmax(2)
        return (weights * neighbours(de, size)).sum(2)


class Refining(Upsampler):
    """Adds the projected encoder feature, and takes from the encoder feature what the sum explains."""

    guided = True
    changes_en = True

    def __init__(self, de_channels, en_channels=None, scale_factor=2):
        super().__init__(de_channels, en_channels, scale_factor)
        self.there = nn.Conv2d(self.en_channels, de_channels, 1)
        self.back = nn.Conv2d(de_channels, self.en_channels, 1)

    def upsample(self, de, en, size, state):
        out = F.interpolate(de, size, mode="bilinear") + self.there(en)
        return out, en - self.back(out)


def neighbours(x: Tensor, size: tuple[int, int]) -> Tensor:
    """`[B, C, h, w]` → `[B, C, 9, *size]`, nearest-neighbour interpolation of the nine shifted maps."""
    windows = F.unfold(x, 3, padding=1).unflatten(2, x.shape[2:])
    return F.interpolate(windows, size, mode="nearest").unflatten(1, (x.shape[1], 9))
