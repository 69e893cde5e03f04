"""Segmentation: any encoder, and SegFormer's head with stage-wise upsampling, as FADE uses it."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from denseup.networks.base import EncoderDecoder
from denseup.networks.decoders.details import Details, finer_strides
from denseup.networks.decoders.segformer import SegFormerHead
from denseup.networks.encoders import Encoder, MixTransformer, as_encoder
from denseup.networks.encoders.base import pad_to_side
from denseup.ops.geometry import divided_up
from denseup.upsamplers.base import UpsamplerFactory


class SegmentationNetwork(EncoderDecoder):
    """Encoder and all-MLP head: normalised RGB `[B, 3, H, W]` → logits `[B, num_classes, ⌈H/s⌉, ⌈W/s⌉]`.

    s is the stride of the finest map that the head takes. Where an encoder has none as fine as `finest_stride`, the
    stages down to it are guided by features of the input (`Details`): all maps of a plain vision transformer have the
    stride of its patches. Resize the logits to the label's size bilinearly for the loss and for evaluation. Upsamplers
    that need the image get the input's first three channels.

    Args:
        encoder: an `Encoder`, a registered name, or a mapping of a name and its options.
        num_classes: of the logits.
        upsampler: factory (de_channels, en_channels) → Upsampler, or a registered name.
        in_channels: of the input, for an encoder given by name.
        embed_dim: channels of the head.
        dropout: in the head.
        finest_stride: maps of a smaller stride are left out, and stages reach down to it.
    """

    encoder_name = "backbone"

    def __init__(
        self,
        encoder: Encoder | str | Mapping[str, Any],
        num_classes: int = 150,
        upsampler: str | UpsamplerFactory = "bilinear",
        *,
        in_channels: int = 3,
        embed_dim: int = 256,
        dropout: float = 0.1,
        finest_stride: int = 4,
    ) -> None:
        super().__init__()
        self.backbone = as_encoder(encoder, in_channels)
        self.used = [i for i, stride in enumerate(self.backbone.strides) if stride >= finest_stride]
        channels, strides = (
            [values[i] for i in self.used] for values in (self.backbone.channels, self.backbone.strides)
        )
        finer = finer_strides(strides[0], finest_stride)
        widths = [max(embed_dim // 4, 1)] * len(finer)
        self.details = Details(self.backbone.in_channels, widths, finer)
        self.head = SegFormerHead(
            [*widths, *channels],
            num_classes,
            upsampler,
            embed_dim=embed_dim,
            dropout=dropout,
            strides=[*finer, *strides],
        )

    def encode(self, x: Tensor) -> list[Tensor]:
        """`[B, 3, H, W]` → the encoder's maps from the finest stride of the head on.

        Sides shorter than the encoder's `least_side` are padded right and bottom with the mean colour for the time.
        """
        maps = self.backbone(pad_to_side(x, self.backbone.least_side))
        return [maps[i] for i in self.used]

    def decode(self, maps: Sequence[Any], x: Tensor) -> Tensor:
        """Maps, and the image `[B, 3, H, W]` → logits `[B, num_classes, ⌈H/s⌉, ⌈W/s⌉]`."""
        padded = pad_to_side(x, self.backbone.least_side)
        logits: Tensor = self.head([*self.details(padded), *maps], padded[:, :3])
        if padded is x:
            return logits
        height, width = (divided_up(side, self.head.strides[0]) for side in x.shape[2:])
        return logits[..., :height, :width]


class SegFormer(SegmentationNetwork):
    """The published network: a Mix Transformer, and logits at stride 4.

    SegFormer (Xie et al., NeurIPS 2021, arXiv:2105.15203). B1 with bilinear upsampling and 150 classes has 13,715,798
    parameters (the published 13,735,148 count an unused layer of the original).

    Args:
        variant: "b0" … "b5".
        num_classes, upsampler, embed_dim, dropout: see `SegmentationNetwork`.
        drop_path: stochastic depth rate of the backbone.
        pretrained: backbone weights: a local folder or hub name for transformers; True means nvidia/mit-<variant>.
        backbone: fields of transformers' `SegformerConfig` to override, for presets of other sizes.
    """

    def __init__(
        self,
        variant: str = "b1",
        num_classes: int = 150,
        upsampler: str | UpsamplerFactory = "bilinear",
        *,
        embed_dim: int = 256,
        dropout: float = 0.1,
        drop_path: float = 0.1,
        pretrained: str | Path | bool = False,
        backbone: dict[str, Any] | None = None,
    ) -> None:
        encoder = MixTransformer(variant, drop_path=drop_path, pretrained=pretrained, **(backbone or {}))
        super().__init__(encoder, num_classes, upsampler, embed_dim=embed_dim, dropout=dropout)
