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
from denseup.networks.decoders.matting import ASPP, DecoderStage, Laterals, Mirrored, Source, matting_head
from denseup.networks.encoders import Encoder, PoolingEncoder, ResNet34, as_encoder
from denseup.networks.encoders.base import pad_to_side
from denseup.upsamplers.base import UpsamplerFactory

WIDTH = 64
"""Of the published network."""
CHANNELS = 4
"""RGB and trimap."""
WHOLE = 16
"""Stride from which on an image in parts is decoded as a whole: the published evaluation pads to a multiple of it."""


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

    def decode(self, maps: Sequence[Any], x: Tensor, context: Tensor | None = None) -> Tensor:
        """What `encode` gave, and the input `[B, 4, H, W]` → `[B, 1, H, W]`, not clipped.

        `context`: what the method of that name gives, where `x` is a part of the image: the part of it.
        """
        padded = pad_to_side(x, self.encoder.least_side)
        deepest, sources = self.sources(maps, padded)
        done = 0 if context is None else self._whole_stages
        y = self._raise(self.aspp(deepest) if context is None else context, sources[done:], done, padded[:, :3])
        alpha: Tensor = self.head(y)
        return alpha if padded is x else alpha[..., : x.shape[2], : x.shape[3]]

    def deep_maps(self, x: Tensor) -> list[Tensor]:
        """`[B, 4, H, W]` → the maps that `context` takes, the deepest first."""
        deepest, sources = self.sources(self.encode(x), x)
        return [deepest, *(source.guide for source in sources[: self._whole_stages])]

    def context(self, deep_maps: Sequence[Tensor]) -> Tensor:
        """`deep_maps` of a whole image → what its parts are decoded from, of the last one's stride.

        It holds all that is global in the decoder, the pooled branch of the ASPP, and the stages of few pixels.
        """
        deepest, *guides = deep_maps
        return self._raise(self.aspp(deepest), [Source(guide, None, None) for guide in guides], 0)

    @property
    def _whole_stages(self) -> int:
        """How many stages `context` has: those that end at `WHOLE` or above and need nothing but their guides."""
        if isinstance(self.sources, Mirrored) or any(upsampler.needs_image for upsampler in self.upsamplers):
            return 0
        return sum(stride >= WHOLE for stride in set(self.encoder.strides)) - (max(self.encoder.strides) >= WHOLE)

    def _raise(self, y: Tensor, sources: Sequence[Source], first: int, image: Tensor | None = None) -> Tensor:
        """`y` through the stages from `first` on, one for each source."""
        stages = list(zip(self.upsamplers, self.decoder, strict=True))[first : first + len(sources)]
        for (upsampler, stage), source in zip(stages, sources, strict=True):
            y, changed = raise_map(upsampler, y, source.guide, image=image, state=source.state)
            y = stage(y, changed if source.shortcut is None else source.shortcut)
        return y


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
