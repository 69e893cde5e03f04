"""Matting: any encoder, guided upsampling in every decoder stage, alpha at the size of the image.

An encoder that leaves its pooling to the upsamplers is mirrored by the decoder: each of the places where it halves its
map belongs to the upsampler of the stage that undoes it. With any other encoder the upsamplers are plug-ins.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from torch import Tensor, nn

from denseup.networks.base import EncoderDecoder, build_upsamplers, raise_map, reset_upsamplers
from denseup.networks.blocks import xavier
from denseup.networks.decoders.matting import ASPP, DecoderStage, Laterals, Mirrored, matting_head
from denseup.networks.encoders import Encoder, PoolingEncoder, ResNet34, as_encoder
from denseup.networks.encoders.base import pad_to_side
from denseup.upsamplers.base import UpsamplerFactory

WIDTH = 64
"""Of the published network."""
CHANNELS = 4
"""RGB and trimap."""


class MattingNetwork(EncoderDecoder):
    """Encoder-decoder: normalised RGB and trimap/255 `[B, 4, H, W]` → alpha `[B, 1, H, W]`.

    The output is not clipped: clip it to [0, 1] at evaluation. Any size works; the published evaluation pads to a
    multiple of 16. Upsamplers that need the image get the RGB of the input.

    Args:
        encoder: an `Encoder`, a registered name, or a mapping of a name and its options.
        upsampler: factory (de_channels, en_channels) → Upsampler, or a registered name.
        in_channels: of the input; None: those of an `Encoder`, 4 for one given by name. An encoder that takes fewer
            sees the first ones, and the decoder sees all: so one of RGB images, frozen perhaps, serves with a trimap.
        width: channels of the finest stages; None: those of an encoder that leaves its pooling, else 64.
        dropout: after the ASPP.
        head_init: of the last 3×3 convolution of one channel. "xavier" as published; "identity" passes its input on,
            where random weights first scramble the alpha map, which costs a short training from random weights much.

    Raises:
        ValueError: width or in_channels is not that of an encoder that leaves its pooling, or an encoder takes more.
    """

    def __init__(
        self,
        encoder: Encoder | str | Mapping[str, Any],
        upsampler: str | UpsamplerFactory = "bilinear",
        *,
        in_channels: int | None = None,
        width: int | None = None,
        dropout: float = 0.5,
        head_init: Literal["xavier", "identity"] = "xavier",
    ) -> None:
        super().__init__()
        self.encoder = as_encoder(encoder, in_channels or CHANNELS)
        default = self.encoder.in_channels if isinstance(encoder, Encoder) else CHANNELS
        self.sources = _sources(self.encoder, width, in_channels or default)
        widths = [*reversed(self.sources.widths), self.sources.widths[0] // 2]
        shortcuts = reversed(self.sources.shortcuts)
        self.aspp = ASPP(widths[0], dropout)
        self.upsamplers = build_upsamplers(upsampler, widths[:-1])
        self.decoder = nn.ModuleList(DecoderStage(*stage) for stage in zip(widths, widths[1:], shortcuts, strict=False))
        self.head = matting_head(widths[-1])
        self.head_init = head_init
        self.reset_parameters()

    @property
    def in_channels(self) -> int:
        """Channels of the input; the first three are RGB."""
        return self.sources.in_channels

    def reset_parameters(self) -> None:
        """Xavier normal for every convolution, the upsamplers' included, and zero biases: the authors' rule.

        An encoder that has a start of its own keeps it, and so do upsamplers with a neutral one.
        """
        self.encoder.reset_parameters()
        reset_upsamplers(self.upsamplers, xavier)
        for part in (self.sources, self.aspp, self.decoder, self.head):
            xavier(part)
        if self.head_init == "identity":
            nn.init.dirac_(self.head.get_parameter("3.weight"))

    def freeze_encoder(self) -> None:
        """As of any network; a ValueError if the encoder's maps depend on what the upsamplers learn."""
        if isinstance(self.sources, Mirrored):
            kind = type(self.encoder).__name__
            raise ValueError(f"{kind} leaves its pooling to the upsamplers, which learn: it can't be frozen")
        super().freeze_encoder()

    def encode(self, x: Tensor) -> Sequence[Any]:
        """`[B, 4, H, W]` → the encoder's maps; of one that leaves its pooling, also what the upsamplers pooled."""
        return self.sources.encode(pad_to_side(x, self.encoder.least_side), self.encoder, self.upsamplers)

    def decode(self, maps: Sequence[Any], x: Tensor) -> Tensor:
        """What `encode` gave, and the input `[B, 4, H, W]` → `[B, 1, H, W]`, not clipped."""
        padded = pad_to_side(x, self.encoder.least_side)
        deepest, sources = self.sources(maps, padded)
        y, image = self.aspp(deepest), padded[:, :3]
        for upsampler, stage, source in zip(self.upsamplers, self.decoder, sources, strict=True):
            y, changed = raise_map(upsampler, y, source.guide, image=image, state=source.state)
            y = stage(y, changed if source.shortcut is None else source.shortcut)
        alpha: Tensor = self.head(y)
        return alpha if padded is x else alpha[..., : x.shape[2], : x.shape[3]]


class MattingResNet34(MattingNetwork):
    """The published network: ResNet-34 with layers 3-4-4, output stride 16, four stages.

    A2U matting (Dai et al., CVPR 2021, arXiv:2011.14288) as FADE uses it (arXiv:2207.10392).

    Args:
        upsampler, in_channels, dropout, head_init: see `MattingNetwork`.
        width: channels of the stem; 64 is ResNet-34 (8,049,003 parameters with bilinear), less is a small preset.
        depths: residual blocks in layers 1-3.
        pretrained: ImageNet weights of a torchvision ResNet-34: a file, or True to download them. The fourth input
            channel starts at zero. Only for width 64.
    """

    def __init__(
        self,
        upsampler: str | UpsamplerFactory = "bilinear",
        *,
        in_channels: int = 4,
        width: int = WIDTH,
        depths: Sequence[int] = (3, 4, 4),
        dropout: float = 0.5,
        head_init: Literal["xavier", "identity"] = "xavier",
        pretrained: str | Path | bool = False,
    ) -> None:
        encoder = ResNet34(in_channels=in_channels, width=width, depths=depths, pretrained=pretrained)
        super().__init__(encoder, upsampler, dropout=dropout, head_init=head_init)


def _sources(encoder: Encoder, width: int | None, in_channels: int) -> Mirrored | Laterals:
    """What the decoder takes from the encoder; a ValueError if they do not fit together."""
    kind = type(encoder).__name__
    if encoder.in_channels > in_channels:
        raise ValueError(f"in_channels is {in_channels}, expected those that {kind} takes, {encoder.in_channels}")
    if not encoder.leaves_pooling:
        return Laterals(encoder, width or WIDTH, in_channels)
    assert isinstance(encoder, PoolingEncoder)
    for name, value, own in (("width", width, encoder.guides[0]), ("in_channels", in_channels, encoder.in_channels)):
        if value not in (None, own):
            why = f"the decoder mirrors {kind}, whose pooling the upsamplers own, so that it can't be frozen either"
            raise ValueError(f"{name} is {value}, expected that of the encoder, {own}: {why}")
    return Mirrored(encoder)
