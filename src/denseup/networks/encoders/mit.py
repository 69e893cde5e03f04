"""Mix Transformer (Xie et al., SegFormer, NeurIPS 2021, arXiv:2105.15203), from the transformers library.

Its LayerNorms get the original's epsilon.
"""

from itertools import accumulate
from operator import mul
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from denseup.networks.encoders.base import Encoder
from denseup.networks.encoders.registry import register_encoder
from denseup.networks.encoders.widening import widen_input

VARIANTS: dict[str, dict[str, Any]] = {
    "b0": {"hidden_sizes": [32, 64, 160, 256], "depths": [2, 2, 2, 2]},
    "b1": {"hidden_sizes": [64, 128, 320, 512], "depths": [2, 2, 2, 2]},
    "b2": {"hidden_sizes": [64, 128, 320, 512], "depths": [3, 4, 6, 3]},
    "b3": {"hidden_sizes": [64, 128, 320, 512], "depths": [3, 4, 18, 3]},
    "b4": {"hidden_sizes": [64, 128, 320, 512], "depths": [3, 8, 27, 3]},
    "b5": {"hidden_sizes": [64, 128, 320, 512], "depths": [3, 6, 40, 3]},
}
"""Widths and depths of the Mix Transformers; heads 1-2-5-8, reductions 8-4-2-1 and MLP ratio 4 are common to all."""


class MixTransformer(Encoder):
    """Mix Transformer: image `[B, in_channels, H, W]` → four maps at strides 4, 8, 16, 32.

    Args:
        variant: "b0" … "b5".
        in_channels: of the input; those beyond RGB start at zero if the weights are pretrained.
        drop_path: stochastic depth rate, growing linearly with depth.
        pretrained: a local folder or hub name to load with transformers; True means nvidia/mit-<variant>.
        config: fields of `SegformerConfig` to override.
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
        from transformers import SegformerConfig, SegformerModel

        if pretrained:
            source = f"nvidia/mit-{variant}" if pretrained is True else str(pretrained)
            # It comes in the mode of inference, in which a training would have no drop path.
            self.model = SegformerModel.from_pretrained(source, drop_path_rate=drop_path).train()
            widen_input(self.model, in_channels)
        else:
            fields = {**VARIANTS[variant], "drop_path_rate": drop_path, "num_channels": in_channels, **config}
            self.model = SegformerModel(SegformerConfig(**fields))
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
