"""The parts of the matting decoder: ASPP, the stages behind the upsamplers, and what they take from the encoder.

The decoder of A2U matting (Dai et al., CVPR 2021, arXiv:2011.14288) as FADE uses it (arXiv:2207.10392), which mirrors
its encoder (`Mirrored`); for any other encoder, `Laterals` bring its maps to the widths of the stages.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from denseup.networks.blocks import ResidualBlock, conv_abn
from denseup.networks.decoders.details import Details, finer_strides
from denseup.networks.encoders import Encoder, PoolingEncoder
from denseup.upsamplers.base import Upsampler


class Source(NamedTuple):
    """What a stage takes from the encoder."""

    guide: Tensor
    """Of the upsampler, `[B, C, H, W]` at the stage's output size."""
    shortcut: Tensor | None
    """Added behind the upsampler, of the same size; None: the guide, as the upsampler gives it back."""
    state: Any
    """Of the upsampler's down-sampling, None where it has done none."""


class ASPP(nn.Module):
    """Atrous spatial pyramid pooling with depthwise-separable convolutions: `[B, C, H, W]` → `[B, C, H, W]`.

    Chen et al., DeepLabv3+, ECCV 2018; dilations 1 (a 1×1 convolution), 6, 12, 18 and a global branch.
    """

    def __init__(self, channels: int, dropout: float = 0.5) -> None:
        super().__init__()
        self.branches = nn.ModuleList([nn.Sequential(*conv_abn(channels, channels, 1))])
        for dilation in (6, 12, 18):
            depthwise = conv_abn(channels, channels, 3, dilation, groups=channels)
            self.branches.append(nn.Sequential(*depthwise, *conv_abn(channels, channels, 1)))
        self.pool = nn.Sequential(nn.AdaptiveAvgPool2d(1), *conv_abn(channels, channels, 1))
        self.project = nn.Sequential(*conv_abn(5 * channels, channels, 1), nn.Dropout(dropout))

    def forward(self, x: Tensor) -> Tensor:
        """Concatenate the five branches and project."""
        pooled = self.pool(x).expand(-1, -1, *x.shape[2:])
        return self.project(torch.cat([*(branch(x) for branch in self.branches), pooled], 1))


class DecoderStage(nn.Module):
    """Shortcut and two residual blocks after the upsampling: widths C_in → C_out."""

    def __init__(self, in_channels: int, out_channels: int, shortcut_channels: int) -> None:
        super().__init__()
        self.shortcut = nn.Sequential(*conv_abn(shortcut_channels, in_channels))
        self.blocks = nn.Sequential(ResidualBlock(in_channels, out_channels), ResidualBlock(out_channels, out_channels))

    def forward(self, y: Tensor, shortcut: Tensor) -> Tensor:
        """`y`, already upsampled, and the source of the shortcut, both of one size."""
        return self.blocks(y + self.shortcut(shortcut))


class Mirrored(nn.Module):
    """What the decoder takes from an encoder that leaves its pooling: each stage undoes what its upsampler pooled.

    The shortcut comes from the encoder's map of the stage's size; the finest one from the network's input.

    Attributes:
        in_channels: of the input.
        widths: channels of the guides, finest stage first; those of the stages' inputs too.
        shortcuts: channels of the shortcuts' sources, finest stage first.

    Raises:
        ValueError: the deepest map is not as wide as the deepest guide.
    """

    def __init__(self, encoder: PoolingEncoder) -> None:
        super().__init__()
        self.in_channels = encoder.in_channels
        self.widths = list(encoder.guides)
        self.shortcuts = [encoder.in_channels, *encoder.channels[1:-1]]
        if encoder.channels[-1] != encoder.guides[-1]:
            widths = f"{encoder.channels[-1]} channels, its deepest guide {encoder.guides[-1]}"
            raise ValueError(f"the deepest map of {type(encoder).__name__} has {widths}: expected as many")

    def encode(self, x: Tensor, encoder: Encoder, upsamplers: nn.ModuleList) -> Sequence[Any]:
        """The maps of `x`, halved by the upsamplers, and each halved map with the state of its upsampler."""
        pooled: list[tuple[Tensor, Any]] = []

        def pool_by(upsampler: nn.Module) -> Callable[[Tensor], Tensor]:
            def pool(en: Tensor) -> Tensor:
                assert isinstance(upsampler, Upsampler)
                smaller, state = upsampler.downsample(en)
                pooled.append((en, state))
                return smaller

            return pool

        maps = encoder(x, [pool_by(upsampler) for upsampler in reversed(upsamplers)])
        return maps, pooled

    def forward(self, encoded: Sequence[Any], x: Tensor) -> tuple[Tensor, list[Source]]:
        """The deepest map, and a source for each stage, deepest first."""
        maps, pooled = encoded
        sources = [
            Source(guide, None if source is guide else source, state)
            for (guide, state), source in zip(pooled, [x, *maps[1:-1]], strict=True)
        ]
        return maps[-1], sources[::-1]


class Laterals(nn.Module):
    """What the decoder takes from any other encoder: its maps, brought to the stages' widths by 1×1 convolutions.

    Maps of one stride are taken together. Where the finest map is smaller than the image, stages down to stride 1 have
    features of the network's own: a convolution of the input at each of the strides 1, 2, 4, … that are finer. An
    encoder that sees only the first channels of the input, such as the RGB without the trimap, gets such features of
    all of them beside its maps, at each of its strides.
    Guide and shortcut of a stage are the same map; the upsamplers pool nothing.

    Args:
        encoder: whose channels and strides are read.
        width: channels of the finest stages, and of the features beside the encoder's maps.
        in_channels: of the input.

    Attributes:
        in_channels, widths, shortcuts: as those of `Mirrored`.

    Raises:
        ValueError: the encoder has one map of stride 1, so that there is nothing to raise.
    """

    def __init__(self, encoder: Encoder, width: int, in_channels: int) -> None:
        super().__init__()
        self.in_channels = in_channels
        self.strides = sorted(set(encoder.strides))
        finer = finer_strides(self.strides[0])
        stages = len(finer) + len(self.strides) - 1
        if not stages:
            raise ValueError(f"the maps of {type(encoder).__name__} are all of the image's size: nothing to upsample")
        self.widths = [width, width, 2 * width, *[4 * width] * stages][:stages]
        self.shortcuts = self.widths
        self.details = Details(in_channels, self.widths[: len(finer)], finer)
        beside = self.strides if in_channels > encoder.in_channels else []
        self.beside = Details(in_channels, [width] * len(beside), beside)
        self.joined_strides = [*encoder.strides, *beside]
        joined_channels = [*encoder.channels, *[width] * len(beside)]
        targets = [*self.widths[len(finer) :], self.widths[-1]]
        channels = [
            sum(c for c, s in zip(joined_channels, self.joined_strides, strict=True) if s == t) for t in self.strides
        ]
        self.project = nn.ModuleList(nn.Conv2d(c, target, 1) for c, target in zip(channels, targets, strict=True))

    def encode(self, x: Tensor, encoder: Encoder, upsamplers: nn.ModuleList) -> Sequence[Tensor]:
        """The encoder's maps, of the channels that it takes."""
        return encoder(x[:, : encoder.in_channels])

    def forward(self, maps: Sequence[Tensor], x: Tensor) -> tuple[Tensor, list[Source]]:
        """The deepest map, and a source for each stage, deepest first."""
        maps = [*maps, *self.beside(x)]
        joined = [_joined([y for y, s in zip(maps, self.joined_strides, strict=True) if s == t]) for t in self.strides]
        projected = [project(y) for project, y in zip(self.project, joined, strict=True)]
        guides = [*self.details(x), *projected[:-1]]
        return projected[-1], [Source(guide, None, None) for guide in reversed(guides)]


def _joined(maps: list[Tensor]) -> Tensor:
    return maps[0] if len(maps) == 1 else torch.cat(maps, 1)


def matting_head(channels: int) -> nn.Sequential:
    """`[B, C, H, W]` → alpha `[B, 1, H, W]`, not clipped."""
    return nn.Sequential(*conv_abn(channels, 1), nn.Conv2d(1, 1, 3, padding=1, bias=False))
