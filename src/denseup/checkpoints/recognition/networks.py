"""Which network a state dict of the authors is of: the matting network or SegFormer, with its sizes and classes."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from denseup.checkpoints.layouts import HEAD, MATTING
from denseup.checkpoints.recognition.operators import Stage
from denseup.networks.decoders.segformer import steps
from denseup.networks.encoders.mit_keys import VARIANTS, named, sizes_in, variant_of
from denseup.networks.encoders.resnet_keys import resnet_in
from denseup.weights import Rules, Shapes, rename

BACKBONE, DECODE_HEAD = "backbone.", "decode_head."
STEM, PREDICTION = "layer0.0.weight", "pred.1.weight"
CLASSIFIER, PROJECTION = f"{DECODE_HEAD}linear_pred.weight", f"{DECODE_HEAD}linear_c1.proj.weight"


@dataclass(frozen=True)
class Recognised:
    """A network of the authors.

    Args:
        task: "matting" or "segmentation".
        encoder: its name, and options that the shapes tell.
        model: options of the decoder that the shapes tell.
        num_classes: of the logits; None for matting.
        stages: the places of its upsamplers, in our order; those of operators without weights are empty.
    """

    task: str
    encoder: Mapping[str, Any]
    model: Mapping[str, Any]
    num_classes: int | None
    stages: tuple[Stage, ...]


def recognise(shapes: Shapes) -> Recognised:
    """The network whose state dict has these keys and shapes.

    Raises:
        ValueError: it is neither; the message says what it is instead, as far as that can be told.
    """
    if {STEM, PREDICTION} <= set(shapes):
        return _matting(shapes)
    if {CLASSIFIER, PROJECTION} <= set(shapes):
        return _segmentation(shapes)
    raise ValueError(
        f"{_what(shapes)}; expected the authors' matting network ({STEM}, …) or SegFormer ({CLASSIFIER}, …)"
    )


def _matting(shapes: Shapes) -> Recognised:
    width, channels, *kernel = shapes[STEM]
    depths = [_blocks(shapes, "layer1"), 1 + _blocks(shapes, "layer2_2"), 1 + _blocks(shapes, "layer3_2")]
    if kernel != [7, 7] or channels != 4 or not depths[0]:
        stem = f"{STEM} is {list(shapes[STEM])}, layer1 has {depths[0]} blocks"
        raise ValueError(f"another matting network than that on ResNet-34: {stem}; expected [64, 4, 7, 7] and 3 blocks")
    stages = _stages(MATTING, shapes, [4 * width, 2 * width, width, width])
    return Recognised("matting", {"name": "resnet34", "width": width, "depths": depths}, {"width": width}, None, stages)


def _blocks(shapes: Shapes, layer: str) -> int:
    return len({found[1] for key in shapes if (found := re.match(rf"{layer}\.block(\d+)\.", key))})


def _segmentation(shapes: Shapes) -> Recognised:
    head, sizes = _within(DECODE_HEAD, shapes), sizes_in(_within(BACKBONE, shapes))
    if sizes is None:
        raise ValueError("SegFormer's head on another encoder than a Mix Transformer, which has patch_embed1 … 4")
    variant, embed = variant_of(sizes), shapes[PROJECTION][0]
    if variant is None:
        raise ValueError(f"SegFormer on a {named(sizes)}, expected one of {', '.join(VARIANTS)}")
    stages = _stages(HEAD, head, [embed] * len(steps([4, 8, 16, 32])))
    classes = shapes[CLASSIFIER][0]
    return Recognised("segmentation", {"name": f"mit_{variant}"}, {"embed_dim": embed}, classes, stages)


def _stages(rules: Rules, shapes: Shapes, widths: list[int]) -> tuple[Stage, ...]:
    """The authors' keys behind what names the stage."""
    found: list[dict[str, tuple[int, ...]]] = [{} for _ in widths]
    for key, shape in shapes.items():
        match = re.match(r"upsamplers\.(\d+)\.(.*)", next(iter(rename(rules, key)), ""))
        if match and int(match[1]) < len(found):
            found[int(match[1])][match[2]] = shape
    stages = tuple(Stage(width, shape) for width, shape in zip(widths, found, strict=True))
    used = tuple(stage for stage in stages if stage.shapes)
    return used or stages  # an operator that goes to the finest map in one step has fewer


def _what(shapes: Shapes) -> str:
    """What a state dict is that is none of the two, in words."""
    parts = {key.partition(".")[0] for key in shapes}
    encoder = next(filter(None, (_encoder(shapes), _encoder(_within(BACKBONE, shapes)))), None)
    if not shapes:
        return "no weights"
    if encoder and "decode_head" not in parts:
        return f"{encoder}, an encoder alone, which a training starts from by encoder.pretrained=PATH"
    if "segformer" in parts:
        return "a SegFormer of transformers, whose keys are others than the authors'"
    if "decode_head" in parts:
        return "a segmentation network with another head, or in the layout of mmsegmentation 1"
    return f"unknown weights, {', '.join(list(shapes)[:3])}, …"


def _encoder(shapes: Shapes) -> str | None:
    sizes = sizes_in(shapes)
    return resnet_in(shapes) if sizes is None else named(sizes)


def _within(prefix: str, shapes: Shapes) -> Shapes:
    return {key.removeprefix(prefix): shape for key, shape in shapes.items() if key.startswith(prefix)}
