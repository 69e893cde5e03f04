"""Mix Transformers with weights: of the authors' files, of a folder of transformers, or of the hub."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from denseup.networks.encoders.fetching import check_complete, from_hub, is_file
from denseup.networks.encoders.mit_keys import BACKBONE, VARIANTS, named, sizes_in, variant_of
from denseup.networks.encoders.resnet_keys import resnet_in
from denseup.networks.encoders.widening import RGB
from denseup.weights import read_weights, rename, shapes_of

SIZES = ("hidden_sizes", "depths")


def random(**fields: Any) -> nn.Module:
    """A model of transformers with these fields of `SegformerConfig`."""
    from transformers import SegformerConfig, SegformerModel

    return SegformerModel(SegformerConfig(**fields))


def load(variant: str, source: str | Path | bool, fields: Mapping[str, Any]) -> nn.Module:
    """The model with pretrained weights, in the mode of training.

    Args:
        variant: "b0" … "b5".
        source: a file of the authors, a folder, a hub name, or True for that of the variant.
        fields: of `SegformerConfig`.

    Raises:
        ValueError: the weights are another variant's, not complete, not there or not to be had.
    """
    assert variant in VARIANTS
    if not isinstance(source, bool) and is_file(source):
        return _of_file(variant, source, fields)
    from transformers import SegformerModel

    name = f"nvidia/mit-{variant}" if source is True else str(source)
    files = "config.json and model.safetensors or pytorch_model.bin"
    options = {key: value for key, value in fields.items() if key not in SIZES}
    model: nn.Module = from_hub(SegformerModel, name, files, "encoder.pretrained", **options)
    _check_sizes(fields, {key: list(getattr(model.config, key)) for key in SIZES}, name)
    return model.train()  # it comes in the mode of inference, in which a training would have no drop path


def _of_file(variant: str, source: str | Path, fields: Mapping[str, Any]) -> nn.Module:
    """The model of one of the authors' files; the classifier that comes with it is left out."""
    where, weights = f"encoder.pretrained={source}", read_weights(source, "encoder.pretrained")
    sizes = sizes_in(shapes_of(weights))
    if sizes is None:
        what = resnet_in(shapes_of(weights)) or f"weights named {', '.join(list(weights)[:3])}, …"
        raise ValueError(f"{where}: {what}, expected Mix Transformer {variant}, such as mit_{variant}.pth")
    _check_sizes(fields, sizes, source)
    model = random(**fields, num_channels=RGB)
    loaded: dict[str, Tensor] = {}
    for key, value in weights.items():
        targets = rename(BACKBONE, key)
        if targets:
            parts = value.chunk(len(targets))
            loaded.update({target.removeprefix("model."): part for target, part in zip(targets, parts, strict=True)})
    own = model.state_dict()
    check_complete(shapes_of(own), shapes_of(loaded), where)
    model.load_state_dict({key: loaded[key] for key in own})
    return model


def _check_sizes(fields: Mapping[str, Any], found: Mapping[str, Sequence[int]], source: str | Path) -> None:
    """ValueError if the weights of a source are those of another model than what is asked for."""
    asked = {key: list(fields[key]) for key in SIZES}
    if asked != {key: list(found[key]) for key in SIZES}:
        variant = variant_of(found)
        instead = f": encoder=mit_{variant}" if variant else ""
        text = f"weights of {named(found)}, but {named(asked)} is asked for{instead}"
        raise ValueError(f"encoder.pretrained={source}: {text}")
