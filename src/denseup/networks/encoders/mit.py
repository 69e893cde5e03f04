"""Mix Transformer (Xie et al., SegFormer, NeurIPS 2021, arXiv:2105.15203), from the transformers library.

Its LayerNorms get the original's epsilon.
"""

from itertools import accumulate
from operator import mul
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from denseup.networks.encoders import mit_pretrained
from denseup.networks.encoders.base import Encoder
from denseup.networks.encoders.mit_keys import VARIANTS
from denseup.networks.encoders.registry import register_encoder
from denseup.networks.encoders.widening import widen_input


class MixTransformer(Encoder):
    """Mix Transformer: image `[B, in_channels, H, W]` → four maps at strides 4, 8, 16, 32.

    Args:
        variant: "b0" … "b5".
        in_channels: of the input; those beyond RGB start at zero if the weights are pretrained.
        drop_path: stochastic depth rate, growing linearly with depth.
        pretrained: a file of the authors (mit_b1.pth), or a local folder or hub name to load with transformers; True
            means nvidia/mit-<variant>, which is downloaded.
        config: fields of `SegformerConfig` to override.

    Raises:
        ValueError: unknown variant, or pretrained weights that are another one's, broken, not there or not to be had.
    """

    def __init__(
        self,
        variant: str = "b1",
        *,
        in_channels: int = 3,
        drop_path: float = 0.1,
        pretrained: str | Path | bool = False,
        **config: Any,
    ) -> None:
        super().__init__()
        if variant not in VARIANTS:
            raise ValueError(f"variant is {variant!r}, valid: {', '.join(VARIANTS)}")
        fields = {**VARIANTS[variant], "drop_path_rate": drop_path, **config}
        self.model: Any
        if pretrained:
            self.model = mit_pretrained.load(variant, pretrained, fields)
            widen_input(self.model, in_channels)
        else:
            self.model = mit_pretrained.random(**fields, num_channels=in_channels)
        self.pretrained = str(pretrained) if pretrained else False
        self.in_channels = in_channels
        self.channels = list(self.model.config.hidden_sizes)
        self.strides = list(accumulate(self.model.config.strides, mul))
        # Shorter sides leave some stage a map smaller than the window that its attention reduces to one key.
        reductions = self.model.config.sr_ratios
        self.least_side = max(s * (r - 1) + 1 for s, r in zip(self.strides, reductions, strict=True))
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


for _variant in VARIANTS:
    register_encoder(f"mit_{_variant}", variant=_variant)(MixTransformer)
