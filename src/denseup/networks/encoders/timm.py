"""Any model of timm that gives features (Wightman, PyTorch Image Models). Optional: `pip install timm`."""

from collections.abc import Sequence
from types import ModuleType
from typing import Any

from torch import Tensor

from denseup.networks.encoders.base import KeepsNormalisation, crop, pad_to_multiple
from denseup.networks.encoders.registry import register_encoder
from denseup.networks.encoders.widening import RGB, widen_input


@register_encoder("timm")
class TimmEncoder(KeepsNormalisation):
    """A model of timm as a pyramid of features.

    Sizes need not be multiples of anything: the image is padded right and bottom with the mean colour for the time.

    Args:
        model: name in timm, such as "resnet50".
        in_channels: of the input; those beyond RGB start at zero if the weights are pretrained.
        stages: numbers of the features that come out, timm's `out_indices`; None: all.
        pretrained: download timm's weights.
        options: further arguments of `timm.create_model`.

    Raises:
        ImportError: timm is not installed.
    """

    def __init__(
        self,
        model: str,
        *,
        in_channels: int = 3,
        stages: Sequence[int] | None = None,
        pretrained: bool = False,
        **options: Any,
    ) -> None:
        super().__init__()
        if stages is not None:
            options["out_indices"] = tuple(stages)
        first = RGB if pretrained else in_channels
        self.model = _timm().create_model(model, pretrained, features_only=True, in_chans=first, **options)
        if pretrained:
            widen_input(self.model, in_channels)
        self.pretrained = model if pretrained else False
        self.in_channels = in_channels
        self.channels = list(self.model.feature_info.channels())
        self.strides = list(self.model.feature_info.reduction())
        trained = getattr(self.model, "pretrained_cfg", None) or {}
        self.mean, self.std = tuple(trained.get("mean", self.mean)), tuple(trained.get("std", self.std))
        self._channels_last = getattr(self.model, "output_fmt", None) == "NHWC"

    def forward(self, x: Tensor) -> list[Tensor]:
        """Maps `[B, C_i, ⌈H/s⌉, ⌈W/s⌉]`, the finest first."""
        maps = self.model(pad_to_multiple(x, max(self.strides)))
        if self._channels_last:
            maps = [y.permute(0, 3, 1, 2) for y in maps]
        return crop(maps, self.strides, (x.shape[2], x.shape[3]))


def _timm() -> ModuleType:
    try:
        import timm
    except ImportError as error:
        raise ImportError(f"encoder 'timm' needs the package timm ({error}): pip install timm") from error
    return timm
