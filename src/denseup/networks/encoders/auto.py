"""Any backbone that transformers knows: ConvNeXt, Swin, PVT, ResNet, DINOv2, …"""

import math
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from denseup.networks.encoders.base import (
    IMAGENET_MEAN,
    IMAGENET_STD,
    Colour,
    KeepsNormalisation,
    crop,
    pad_to_multiple,
)
from denseup.networks.encoders.fetching import from_hub, not_there
from denseup.networks.encoders.registry import register_encoder
from denseup.networks.encoders.widening import widen_input

MAPS = 4
"""How many maps there are, unless told otherwise."""


@register_encoder("auto")
class AutoEncoder(KeepsNormalisation):
    """A backbone of transformers' `AutoBackbone`.

    Sizes need not be multiples of anything: the image is padded right and bottom with the mean colour for the time.

    Args:
        source: a local folder or hub name of weights and architecture.
        config: `model_type` and fields of its configuration: the architecture of random weights, for which no source
            is looked at; with a source, fields that differ from it.
        in_channels: of the input; those beyond RGB start at zero if the weights are pretrained.
        stages: numbers of the stages whose maps come out, from 1; None: four, evenly spaced, with the last.
        pretrained: load the weights of `source`; None: if there is one.

    Raises:
        ValueError: no source where one is needed, a model that is no backbone, or no such stage.
    """

    def __init__(
        self,
        source: str | Path | None = None,
        *,
        config: Mapping[str, Any] | None = None,
        in_channels: int = 3,
        stages: Sequence[int] | None = None,
        pretrained: bool | None = None,
    ) -> None:
        super().__init__()
        from transformers import AutoBackbone

        if not isinstance(pretrained, bool | None):
            raise ValueError(f"pretrained is {pretrained!r}, expected True, False or None; a folder is named by source")
        if pretrained and source is None:
            raise ValueError("pretrained is True, but source is None: expected a local folder or hub name")
        source = None if source is None else str(source)
        load = None if pretrained is False else source
        chosen = _config(source, config or {}, load is not None)
        chosen.out_features = _features(chosen, stages)
        if load is None:
            chosen.num_channels = in_channels
            self.model = AutoBackbone.from_config(chosen)
        else:
            self.model = _load(load, chosen)
            widen_input(self.model, in_channels)
            self.mean, self.std = _normalisation(load)
        self.pretrained = load or False
        self.in_channels = in_channels
        self.channels, self.strides = self._measure()

    @torch.no_grad()
    def _measure(self) -> tuple[list[int], list[int]]:
        """Channels and strides of the maps, seen on an image that all of them divide."""
        patch = getattr(self.model.config, "patch_size", 1)
        side = math.lcm(32, patch if isinstance(patch, int) else 1)
        training = self.model.training
        maps = self.model.eval()(torch.zeros(1, self.in_channels, side, side)).feature_maps
        self.model.train(training)
        return [x.shape[1] for x in maps], [side // x.shape[2] for x in maps]

    def forward(self, x: Tensor) -> list[Tensor]:
        """Maps `[B, C_i, ⌈H/s⌉, ⌈W/s⌉]`, the finest first."""
        maps = self.model(pad_to_multiple(x, max(self.strides))).feature_maps
        return crop(maps, self.strides, (x.shape[2], x.shape[3]))


def _config(source: str | None, config: Mapping[str, Any], pretrained: bool) -> Any:
    """The configuration of the backbone."""
    from transformers import AutoConfig

    fields = dict(config)
    model_type = fields.pop("model_type", None)
    if pretrained or model_type is None:
        if source is None:
            raise ValueError(f"source is None, config is {config}, expected a source, or a model_type in config")
        # Not asked for, transformers would ask at the terminal whether to run code that it found beside the weights.
        options = {"trust_remote_code": False, **fields}
        try:
            return AutoConfig.from_pretrained(source, **options)
        except OSError as error:
            files = "config.json, preprocessor_config.json and model.safetensors or pytorch_model.bin"
            raise ValueError(f"encoder.source={source}: {not_there(source, files, 'encoder.source')}") from error
    return AutoConfig.for_model(model_type, **fields)


def _load(source: str, config: Any) -> nn.Module:
    """The pretrained backbone; transformers' own `AutoBackbone.from_pretrained` takes no local folder."""
    from transformers import AutoBackbone

    with torch.device("meta"):
        kind = type(AutoBackbone.from_config(config))
    files = "config.json and model.safetensors or pytorch_model.bin"
    model: nn.Module = from_hub(kind, source, files, "encoder.source", config=config)
    return model.train()  # it comes in the mode of inference


def _features(config: Any, stages: Sequence[int] | None) -> list[str]:
    """Names of the stages whose maps come out."""
    if not hasattr(config, "stage_names"):
        raise ValueError(f"the model type is {config.model_type!r}, which transformers has no backbone of")
    names = [name for name in config.stage_names if name != "stem"]
    number = min(MAPS, len(names))
    chosen = [round(len(names) * k / number) for k in range(1, number + 1)] if stages is None else list(stages)
    wrong = [stage for stage in chosen if stage not in range(1, len(names) + 1)]
    if wrong or not chosen:
        raise ValueError(f"stages is {chosen}, expected numbers from 1 to {len(names)}")
    return [names[stage - 1] for stage in chosen]


def _normalisation(source: str) -> tuple[Colour, Colour]:
    """Mean and deviation that the weights were trained with; ImageNet's, with a warning, if nothing tells."""
    from transformers.image_processing_base import ImageProcessingMixin

    try:
        options, _ = ImageProcessingMixin.get_image_processor_dict(source)
        return tuple(options["image_mean"]), tuple(options["image_std"])
    except (OSError, KeyError):
        text = f"source={source}: no preprocessor_config.json with image_mean and image_std; ImageNet's are taken"
        warnings.warn(text, stacklevel=3)
        return IMAGENET_MEAN, IMAGENET_STD
