"""Matting network: ResNet-34 encoder-decoder with guided upsampling in every decoder stage.

The network of A2U matting (Dai et al., CVPR 2021, arXiv:2011.14288) as FADE uses it (arXiv:2207.10392): layers 3-4-4,
output stride 16, stem of stride 1, ASPP, four decoder stages. Each of the four places where the encoder halves its map
belongs to the upsampler of the decoder stage that undoes it.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from denseup.networks.blocks import ASPP, NEGATIVE_SLOPE, ResidualBlock, conv_abn
from denseup.upsamplers.base import Upsampler, UpsamplerFactory
from denseup.upsamplers.registry import as_factory

RESNET34_URL = "https://download.pytorch.org/models/resnet34-b627a593.pth"


class Encoder(nn.Module):
    """Stem and three ResNet layers; halves its map four times by the upsamplers' `downsample`."""

    def __init__(self, in_channels: int, width: int, depths: Sequence[int]) -> None:
        super().__init__()
        self.stem = nn.Sequential(*conv_abn(in_channels, width, 7))
        self.layer1 = _layer(width, width, 1, depths[0])
        self.layer2 = _layer(width, 2 * width, 2, depths[1])
        self.layer3 = _layer(2 * width, 4 * width, 2, depths[2])

    def forward(self, x: Tensor, upsamplers: nn.ModuleList) -> tuple[Tensor, list[tuple[Tensor, Tensor | None, Any]]]:
        """Encode `[B, C, H, W]`.

        Returns:
            The deepest map, and for each decoder stage, deepest first, (guide, shortcut source, state); a source of
            None means the guide as the upsampler gives it back.
        """
        l0 = self.stem(x)
        l0p, state1 = _downsample(upsamplers[3], l0)
        pooled, state2 = _downsample(upsamplers[2], l0p)
        l1 = self.layer1(pooled)
        l2, guide3, state3 = self._transition(self.layer2, l1, upsamplers[1])
        l3, guide4, state4 = self._transition(self.layer3, l2, upsamplers[0])
        stages = [(guide4, l2, state4), (guide3, l1, state3), (l0p, None, state2), (l0, x, state1)]
        return l3, stages

    @staticmethod
    def _transition(layer: nn.Module, x: Tensor, upsampler: nn.Module) -> tuple[Tensor, Tensor, Any]:
        assert isinstance(layer, nn.Sequential)
        first, *rest = layer
        assert isinstance(first, ResidualBlock)
        guide = first.expand(x)
        pooled, state = _downsample(upsampler, guide)
        y = first.reduce(pooled, x)
        for block in rest:
            y = block(y)
        return y, guide, state


class DecoderStage(nn.Module):
    """Shortcut and two residual blocks after the upsampling: widths C_in → C_out."""

    def __init__(self, in_channels: int, out_channels: int, shortcut_channels: int) -> None:
        super().__init__()
        self.shortcut = nn.Sequential(*conv_abn(shortcut_channels, in_channels))
        self.blocks = nn.Sequential(ResidualBlock(in_channels, out_channels), ResidualBlock(out_channels, out_channels))

    def forward(self, y: Tensor, shortcut: Tensor) -> Tensor:
        """`y`, already upsampled, and the source of the shortcut, both of one size."""
        return self.blocks(y + self.shortcut(shortcut))


class MattingResNet34(nn.Module):
    """ResNet-34 encoder-decoder: ImageNet-normalised RGB and trimap/255 `[B, 4, H, W]` → alpha `[B, 1, H, W]`.

    The output is not clipped: clip it to [0, 1] at evaluation. Any size ≥ 16 works; the published evaluation pads to a
    multiple of 16.

    Args:
        upsampler: factory (de_channels, en_channels) → Upsampler, or a registered name.
        in_channels: of the input.
        width: channels of the stem; 64 is ResNet-34 (8,049,003 parameters with bilinear), less is a small preset.
        depths: residual blocks in layers 1-3.
        dropout: after the ASPP.
        head_init: of the last 3×3 convolution of one channel. "xavier" as published; "identity" passes its input on,
            where random weights first scramble the alpha map, which costs a short training from random weights much.
        pretrained: ImageNet weights of a torchvision ResNet-34: a file, or True to download them. The fourth input
            channel starts at zero. Only for width 64.
    """

    def __init__(
        self,
        upsampler: str | UpsamplerFactory = "bilinear",
        *,
        in_channels: int = 4,
        width: int = 64,
        depths: Sequence[int] = (3, 4, 4),
        dropout: float = 0.5,
        head_init: Literal["xavier", "identity"] = "xavier",
        pretrained: str | Path | bool = False,
    ) -> None:
        super().__init__()
        factory = as_factory(upsampler)
        widths = (4 * width, 2 * width, width, width, width // 2)
        shortcuts = (2 * width, width, width, in_channels)
        self.encoder = Encoder(in_channels, width, depths)
        self.aspp = ASPP(widths[0], dropout)
        self.upsamplers = nn.ModuleList(factory(c, c) for c in widths[:4])
        self.decoder = nn.ModuleList(DecoderStage(*stage) for stage in zip(widths, widths[1:], shortcuts, strict=False))
        last = nn.Conv2d(1, 1, 3, padding=1, bias=False)
        self.head = nn.Sequential(*conv_abn(widths[-1], 1), last)
        self.head_init = head_init
        self.reset_parameters()
        if pretrained:
            self.load_imagenet(pretrained)

    def reset_parameters(self) -> None:
        """Xavier normal for every convolution, the upsamplers' included, and zero biases: the authors' rule."""
        gain = nn.init.calculate_gain("leaky_relu", NEGATIVE_SLOPE)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.xavier_normal_(module.weight, gain)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
        if self.head_init == "identity":
            nn.init.dirac_(self.head.get_parameter("3.weight"))

    def load_imagenet(self, source: str | Path | Literal[True]) -> None:
        """Load a torchvision ResNet-34 into the encoder; the input channels beyond RGB start at zero.

        Raises:
            ValueError: a weight is missing or has another shape.
        """
        if isinstance(source, bool):
            weights = torch.hub.load_state_dict_from_url(RESNET34_URL, map_location="cpu", check_hash=True)
        else:
            weights = torch.load(source, map_location="cpu", weights_only=True)
        own = self.encoder.state_dict()
        for name, value in own.items():
            key = _torchvision_key(name)
            if key not in weights:
                raise ValueError(f"pretrained={source!r}: key {key!r} is missing, expected a torchvision ResNet-34")
            new = weights[key]
            if name == "stem.0.weight":
                new = torch.cat([new, new.new_zeros(new.shape[0], value.shape[1] - 3, *new.shape[2:])], 1)
            if new.shape != value.shape:
                raise ValueError(f"pretrained={source!r}: {key!r} is {list(new.shape)}, expected {list(value.shape)}")
            own[name] = new
        self.encoder.load_state_dict(own)

    def backbone_parameters(self) -> list[nn.Parameter]:
        """Parameters that ImageNet weights cover: the published recipe trains them at a lower rate."""
        return list(self.encoder.parameters())

    def forward(self, x: Tensor) -> Tensor:
        """`[B, 4, H, W]` → `[B, 1, H, W]`, not clipped."""
        deepest, stages = self.encoder(x, self.upsamplers)
        y, image = self.aspp(deepest), x[:, :3]
        for upsampler, stage, (guide, shortcut, state) in zip(self.upsamplers, self.decoder, stages, strict=True):
            y, changed = upsampler(y, guide, image=image, state=state, return_en=True)
            y = stage(y, changed if shortcut is None else shortcut)
        return self.head(y)


def _downsample(upsampler: nn.Module, x: Tensor) -> tuple[Tensor, Any]:
    """The halved map and the state that the decoder's upsampling wants."""
    assert isinstance(upsampler, Upsampler)
    return upsampler.downsample(x)


def _layer(in_channels: int, out_channels: int, stride: int, depth: int) -> nn.Sequential:
    blocks = [ResidualBlock(in_channels, out_channels, stride)]
    blocks += [ResidualBlock(out_channels, out_channels) for _ in range(depth - 1)]
    return nn.Sequential(*blocks)


def _torchvision_key(name: str) -> str:
    """Our encoder key → that of a torchvision ResNet."""
    name = name.replace("stem.0", "conv1").replace("stem.1", "bn1")
    return name.replace("proj_conv", "downsample.0").replace("proj_bn", "downsample.1")
