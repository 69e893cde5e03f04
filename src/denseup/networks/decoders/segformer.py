"""SegFormer's head (Xie et al., NeurIPS 2021, arXiv:2105.15203) with stage-wise upsampling, as FADE uses it.

Each deeper map is raised stage by stage to the finest, every stage guided by the projected map of that resolution.
"""

import warnings
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from denseup.networks.base import build_upsamplers, raise_map
from denseup.upsamplers.base import UpsamplerFactory

Step = tuple[int, int]
"""(the map that is raised, the map that guides)."""


def steps(strides: Sequence[int]) -> list[Step]:
    """The steps that raise every map to the finest stride, the deepest map first, each through all strides between.

    For four maps of different strides they are (3, 2), (3, 1), (3, 0), (2, 1), (2, 0), (1, 0), in the order of the
    authors' code. Of several maps of one stride the deepest guides, and none is raised to the others.
    """
    found = []
    for level in range(len(strides) - 1, 0, -1):
        reached = strides[level]
        for guide in range(level - 1, -1, -1):
            if strides[guide] < reached:
                found.append((level, guide))
                reached = strides[guide]
    return found


class SegFormerHead(nn.Module):
    """All-MLP head: maps → logits at the size of the finest; four maps take six upsamplers.

    An upsampler that resizes by any factor in one step (`Upsampler.direct`) goes straight to the finest map, as the
    original head does with bilinear interpolation: four maps then take three.

    The finest map guides the last step of each chain, and an upsampler may change it. What is fused is the finest map
    as it comes back from raising the next coarser one: that is the pair of one call. All chains start from the maps as
    they were.

    Args:
        in_channels: of the maps, finest first.
        num_classes: of the logits.
        upsampler: factory (de_channels, en_channels) → Upsampler, or a registered name.
        embed_dim: channels of the projected maps.
        dropout: of whole channels, before the classifier.
        strides: of the maps; None: each is half as large as the one before. Maps of one stride need no raising.

    Raises:
        ValueError: fewer than two maps, or strides that are not one for each, finest first.
    """

    def __init__(
        self,
        in_channels: Sequence[int],
        num_classes: int,
        upsampler: str | UpsamplerFactory = "bilinear",
        *,
        embed_dim: int = 256,
        dropout: float = 0.1,
        strides: Sequence[int] | None = None,
    ) -> None:
        super().__init__()
        self.strides = [4 << i for i in range(len(in_channels))] if strides is None else list(strides)
        if len(in_channels) < 2:
            raise ValueError(f"in_channels is {list(in_channels)}, expected those of at least two maps")
        if len(self.strides) != len(in_channels) or self.strides != sorted(self.strides):
            raise ValueError(f"strides is {self.strides}, expected {len(in_channels)} numbers, finest first")
        if self.strides[0] == self.strides[-1]:
            text = f"all maps have the stride {self.strides[0]}: nothing is raised, and the upsampler has no part in it"
            warnings.warn(text, stacklevel=3)
        self.steps = steps(self.strides)
        self.project = nn.ModuleList(nn.Conv2d(c, embed_dim, 1) for c in in_channels)
        self.upsamplers = build_upsamplers(upsampler, [embed_dim] * len(self.steps))
        if self.steps and self.upsamplers[0].direct:
            self._skip_chains()
        self.fuse = nn.Sequential(
            nn.Conv2d(len(in_channels) * embed_dim, embed_dim, 1, bias=False), nn.BatchNorm2d(embed_dim), nn.ReLU()
        )
        self.dropout = nn.Dropout2d(dropout)
        self.classify = nn.Conv2d(embed_dim, num_classes, 1)

    def forward(self, maps: Sequence[Tensor], image: Tensor | None = None) -> Tensor:
        """`maps` finest first, and the image for upsamplers that need it → `[B, num_classes, H, W]` of the finest."""
        projected = [project(x) for project, x in zip(self.project, maps, strict=True)]
        fused = list(projected)
        for level in dict.fromkeys(level for level, _ in self.steps):
            fused[level], changed = self._raise(projected, level, image)
        if self.steps:
            fused[self.steps[-1][1]] = changed
        return self.classify(self.dropout(self.fuse(torch.cat(fused[::-1], 1))))

    def _skip_chains(self) -> None:
        """Keep the first upsampler of each chain, and let it go to where the last one does."""
        last = dict(self.steps)
        kept = {level: number for number, (level, _) in reversed(list(enumerate(self.steps)))}
        levels = list(last)
        self.upsamplers = nn.ModuleList(self.upsamplers[kept[level]] for level in levels)
        self.steps = [(level, last[level]) for level in levels]

    def _raise(self, projected: list[Tensor], level: int, image: Tensor | None) -> tuple[Tensor, Tensor]:
        """The map of `level` brought to the finest resolution, stage by stage, and its last guide as it came back."""
        chain = [
            (up, guide) for up, (raised, guide) in zip(self.upsamplers, self.steps, strict=True) if raised == level
        ]
        y, changed = projected[level], projected[level]
        for upsampler, guide in chain:
            y, changed = raise_map(upsampler, y, projected[guide], image=image)
        return y, changed
