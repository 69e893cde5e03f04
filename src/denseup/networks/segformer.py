"""SegFormer (Xie et al., NeurIPS 2021, arXiv:2105.15203) with stage-wise upsampling in the head, as FADE uses it.

The Mix Transformer comes from the transformers library; its LayerNorms get the original's epsilon. The head raises
each of the three deeper maps stage by stage to the finest, every stage guided by the projected map of that resolution.
"""

from itertools import accumulate
from operator import mul
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from denseup.upsamplers.base import UpsamplerFactory
from denseup.upsamplers.registry import as_factory

VARIANTS: dict[str, dict[str, Any]] = {
    "b0": {"hidden_sizes": [32, 64, 160, 256], "depths": [2, 2, 2, 2]},
    "b1": {"hidden_sizes": [64, 128, 320, 512], "depths": [2, 2, 2, 2]},
    "b2": {"hidden_sizes": [64, 128, 320, 512], "depths": [3, 4, 6, 3]},
    "b3": {"hidden_sizes": [64, 128, 320, 512], "depths": [3, 4, 18, 3]},
    "b4": {"hidden_sizes": [64, 128, 320, 512], "depths": [3, 8, 27, 3]},
    "b5": {"hidden_sizes": [64, 128, 320, 512], "depths": [3, 6, 40, 3]},
}
"""Widths and depths of the Mix Transformers; heads 1-2-5-8, reductions 8-4-2-1 and MLP ratio 4 are common to all."""

STAGES = ((3, 2), (3, 1), (3, 0), (2, 1), (2, 0), (1, 0))
"""(map raised, map that guides) of the six upsamplers, in the order of the authors' code; 3 is the deepest map."""


class MixTransformer(nn.Module):
    """Mix Transformer: image `[B, 3, H, W]` → four maps at strides 4, 8, 16, 32.

    Args:
        variant: "b0" … "b5".
        drop_path: stochastic depth rate, growing linearly with depth.
        pretrained: a local folder or hub name to load with transformers; True means nvidia/mit-<variant>.
        config: fields of `SegformerConfig` to override.
    """

    def __init__(
        self,
        variant: str = "b1",
        *,
        drop_path: float = 0.1,
        pretrained: str | Path | bool = False,
        **config: Any,
    ) -> None:
        super().__init__()
        if variant not in VARIANTS:
            raise ValueError(f"variant is {variant!r}, valid: {', '.join(VARIANTS)}")
        from transformers import SegformerConfig, SegformerModel

        fields = {**VARIANTS[variant], "drop_path_rate": drop_path, **config}
        if pretrained:
            source = f"nvidia/mit-{variant}" if pretrained is True else str(pretrained)
            self.model = SegformerModel.from_pretrained(source, drop_path_rate=drop_path)
        else:
            self.model = SegformerModel(SegformerConfig(**fields))
        self.channels: list[int] = list(self.model.config.hidden_sizes)
        strides = accumulate(self.model.config.strides, mul)
        # Shorter sides leave some stage a map smaller than the window that its attention reduces to one key.
        self.least_side: int = max(s * (r - 1) + 1 for s, r in zip(strides, self.model.config.sr_ratios, strict=True))
        self._use_original_eps()

    def _use_original_eps(self) -> None:
        """1e-6 for the norms of blocks and stages; patch embedding and attention keep 1e-5."""
        for name, module in self.model.named_modules():
            if isinstance(module, nn.LayerNorm):
                inner = "patch_embeddings" in name or "sequence_reduction" in name
                module.eps = 1e-5 if inner else 1e-6

    def forward(self, x: Tensor) -> list[Tensor]:
        """Maps `[B, C_i, ⌈H/s⌉, ⌈W/s⌉]` for s = 4, 8, 16, 32; no side may be shorter than `least_side`."""
        return list(self.model(x, output_hidden_states=True).hidden_states)


class SegFormerHead(nn.Module):
    """All-MLP head with six upsamplers: four maps → logits at the size of the finest.

    An upsampler that resizes by any factor in one step (`Upsampler.direct`) goes straight to the finest map, as the
    original head does with bilinear interpolation.

    The finest map guides the last step of each of the three chains, and an upsampler may change it. What is fused is
    the finest map as it comes back from raising the next coarser one: that is the pair of one call. The three chains
    all start from the maps as they were.

    Args:
        in_channels: of the four maps, finest first.
        num_classes: of the logits.
        upsampler: factory (de_channels, en_channels) → Upsampler, or a registered name.
        embed_dim: channels of the projected maps.
        dropout: of whole channels, before the classifier.
    """

    def __init__(
        self,
        in_channels: list[int],
        num_classes: int,
        upsampler: str | UpsamplerFactory = "bilinear",
        *,
        embed_dim: int = 256,
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        factory = as_factory(upsampler)
        self.project = nn.ModuleList(nn.Conv2d(c, embed_dim, 1) for c in in_channels)
        self.upsamplers = nn.ModuleList(factory(embed_dim, embed_dim) for _ in STAGES)
        self.fuse = nn.Sequential(
            nn.Conv2d(4 * embed_dim, embed_dim, 1, bias=False), nn.BatchNorm2d(embed_dim), nn.ReLU()
        )
        self.dropout = nn.Dropout2d(dropout)
        self.classify = nn.Conv2d(embed_dim, num_classes, 1)

    def forward(self, maps: list[Tensor], image: Tensor | None = None) -> Tensor:
        """`maps` finest first, and the image for upsamplers that need it → `[B, num_classes, H/4, W/4]`."""
        projected = [project(x) for project, x in zip(self.project, maps, strict=True)]
        pairs = [self._raise(projected, level, image) for level in (3, 2, 1)]
        finest = pairs[-1][1]
        return self.classify(self.dropout(self.fuse(torch.cat([*(y for y, _ in pairs), finest], 1))))

    def _raise(self, projected: list[Tensor], level: int, image: Tensor | None) -> tuple[Tensor, Tensor]:
        """The map of `level` brought to the finest resolution, stage by stage, and the finest as its guide became."""
        y = changed = projected[level]
        for upsampler, (source, guide) in zip(self.upsamplers, STAGES, strict=True):
            if source == level:
                en = projected[0 if upsampler.direct else guide]
                y, changed = upsampler(y, en, image=image, return_en=True)
                if upsampler.direct:
                    break
        return y, changed


class SegFormer(nn.Module):
    """SegFormer: ImageNet-normalised RGB `[B, 3, H, W]` → logits `[B, num_classes, ⌈H/4⌉, ⌈W/4⌉]`.

    Resize the logits to the label's size bilinearly for the loss and for evaluation. B1 with bilinear upsampling and
    150 classes has 13,715,798 parameters (the published 13,735,148 count an unused layer of the original).

    Args:
        variant: "b0" … "b5".
        num_classes: of the logits.
        upsampler: factory (de_channels, en_channels) → Upsampler, or a registered name.
        embed_dim: channels of the head.
        dropout: in the head.
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
        super().__init__()
        self.backbone = MixTransformer(variant, drop_path=drop_path, pretrained=pretrained, **(backbone or {}))
        self.head = SegFormerHead(self.backbone.channels, num_classes, upsampler, embed_dim=embed_dim, dropout=dropout)

    def backbone_parameters(self) -> list[nn.Parameter]:
        """Parameters of the backbone: the published recipe trains the head at ten times their rate."""
        return list(self.backbone.parameters())

    def forward(self, x: Tensor) -> Tensor:
        """`[B, 3, H, W]` → logits `[B, num_classes, ⌈H/4⌉, ⌈W/4⌉]`.

        Sides shorter than `MixTransformer.least_side` are padded right and bottom with the mean colour for the time.
        """
        height, width = x.shape[2:]
        least = self.backbone.least_side
        if height >= least and width >= least:
            return self.head(self.backbone(x), image=x)
        padded = F.pad(x, (0, max(least - width, 0), 0, max(least - height, 0)))
        return self.head(self.backbone(padded), image=padded)[..., : -(-height // 4), : -(-width // 4)]
