"""What a run of objects was: a config that tells two runs apart, though nothing can be built from it.

A run of `denseup train` keeps the config it was built from. Here there is none, so the objects' public attributes are
written down in its place, under the same names; the report compares what agrees in them.
"""

import dataclasses
import hashlib
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from torch import nn

from denseup.data.datamodules import DenseData
from denseup.networks.base import EncoderDecoder
from denseup.tasks import DenseTask
from denseup.upsamplers import Upsampler
from denseup.upsamplers.registry import UPSAMPLERS

FROM_PYTHON = "denseup.runs.train"
"""Under `made_by` of a config that only describes."""

OF_LIGHTNING = ("training", "prepare_data_per_node", "allow_zero_length_dataloader_with_multiple_devices", "trainer")
"""Attributes that modules and data modules have by themselves."""
OF_THE_EVALUATION = ("stage", "baseline", "names", "examples")
CHANNELS = ("de_channels", "en_channels")
"""Of an upsampler's attributes: they are the network's."""


def described_run(
    task: DenseTask,
    data: DenseData,
    trainer: Mapping[str, Any],
    *,
    seed: int,
    upsampler: str | None,
    recipe: Mapping[str, Any],
    settings: Mapping[str, Any],
) -> dict[str, Any]:
    """The config of a run: plain values under the names that `denseup.engine.folder.IDENTITY` lists."""
    network = task.network
    lengths = {"max_steps": trainer["max_steps"], "val_every": trainer["val_check_interval"]}
    encoder = network.encoder if isinstance(network, EncoderDecoder) else None
    return {
        "made_by": FROM_PYTHON,
        "task": {"name": task.name, **_attributes(task, OF_THE_EVALUATION)},
        "upsampler": _upsampler(network, upsampler),
        "encoder": None if encoder is None else _attributes(encoder),
        "model": _network(network),
        "data": _attributes(data),
        "protocol": {"name": "finetune", "evaluation": "best", "hold_out": None, "tuned": []},
        "recipe": {
            **lengths,
            **recipe,
            "optimization": described(task.optimization),
            "settings": described(settings),
        },
        "trainer": described(trainer),
        "seed": seed,
    }


def described(value: Any) -> Any:
    """A value in numbers, strings, lists and dictionaries; an object by its class and its public attributes."""
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, Mapping):
        return {str(key): described(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [described(item) for item in value]
    if isinstance(value, partial):
        return {"calls": described(value.func), "with": [*described(value.args)], **described(value.keywords)}
    if isinstance(value, type) or hasattr(value, "__qualname__"):
        return _name(value)
    if dataclasses.is_dataclass(value):
        fields = {field.name: described(getattr(value, field.name)) for field in dataclasses.fields(value)}
        return {"class": _name(type(value)), **fields}
    return _attributes(value)


def _attributes(value: Any, but: tuple[str, ...] = ()) -> dict[str, Any]:
    """Class and public attributes of an object, those that are modules, tensors or of Lightning left out."""
    own = getattr(value, "__dict__", {})
    names = [name for name in own if not name.startswith("_") and name not in (*OF_LIGHTNING, *but)]
    return {"class": _name(type(value)), **{name: described(own[name]) for name in names if _plain(own[name])}}


def _plain(value: Any) -> bool:
    """Whether a value is one that tells a setting: no tensor, no module, nothing that only the process knows."""
    if isinstance(value, list | tuple):
        return all(_plain(item) for item in value)
    return value is None or isinstance(value, bool | int | float | str | Path | Mapping | type | partial)


def _upsampler(network: nn.Module, name: str | None) -> dict[str, Any]:
    found = next((module for module in network.modules() if isinstance(module, Upsampler)), None)
    if found is None:
        return {"name": name or "none", "start": "published"}
    options = {key: value for key, value in _attributes(found).items() if key not in (*CHANNELS, "start", "class")}
    return {"name": name or _registered(found), "start": found.start, **options}


def _registered(upsampler: Upsampler) -> str:
    """The name that its class is registered under, the one without a preset first; else the class's own."""
    names = [name for name, (kind, _) in UPSAMPLERS.factories.items() if kind is type(upsampler)]
    return min(names, key=lambda name: (len(UPSAMPLERS.preset(name)), name), default=type(upsampler).__name__)


def _network(network: nn.Module) -> dict[str, Any]:
    """Its class, a digest of its modules and how much of them learns; upsamplers left out, for they are compared."""
    modules = dict(_modules(network))
    lines = "\n".join(f"{name} {_name(type(module))} {module.extra_repr()}" for name, module in modules.items())
    own = [p for module in modules.values() for p in module.parameters(recurse=False)]
    return {
        "class": _name(type(network)),
        "modules": hashlib.sha256(lines.encode()).hexdigest()[:16],
        "learning": sum(p.numel() for p in own if p.requires_grad),
    }


def _modules(module: nn.Module, prefix: str = "") -> Iterator[tuple[str, nn.Module]]:
    if isinstance(module, Upsampler):
        return
    yield prefix, module
    for name, child in module.named_children():
        yield from _modules(child, f"{prefix}.{name}" if prefix else name)


def _name(value: Any) -> str:
    return f"{value.__module__}.{value.__qualname__}"
