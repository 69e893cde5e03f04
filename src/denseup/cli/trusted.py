"""What a config may ask for that comes out of a file: a checkpoint, an exported folder, a run's folder, an archive.

Hydra calls whatever a `_target_` names. A config of one's own may name anything; one that came with weights from
somewhere else may name what conf/ names in the same group, and what a plug-in defines that this process has imported
(a package that registered a task, an encoder or an upsampler, or has a data module). All else is refused by name,
before anything is imported, and so are values that would be looked up on this machine (`${…}`) and options by which
other libraries fetch and run code. Hydra's own list of forbidden targets is no part of this.
"""

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from importlib import import_module
from typing import Any

import yaml

from denseup.cli.places import CONF

VARIABLE = "DENSEUP_TRUSTED"
"""Environment variable: packages and dotted names that configs from files may ask for too, separated by commas."""
BUILT = ("task", "model", "encoder", "upsampler", "data")
"""The parts of a config that are built again from a file."""
NEEDED = ("task", "model", "upsampler", "data")
FETCHES = ("trust_remote_code", "code_revision", "auto_map", "attn_implementation", "checkpoint_path", "pretrained_cfg")
"""Within the names of options: by these transformers and timm load code, or files that can hold some."""
FORMER = {"model": ("denseup.networks.MattingResNet34", "denseup.networks.SegFormer")}
"""What configs may name that conf/ does not: whole networks, which it had once."""

_named: set[str] = set()


def targets(config: Mapping[str, Any]) -> list[str]:
    """What a config asks for in the parts that are built again from a file."""
    return [str(target) for part in BUILT for _, target in _found(config.get(part), part, "_target_")]


def trust(names: Iterable[str]) -> None:
    """Let configs from files ask for what the user of this process has named: the `targets` of a config of theirs."""
    _named.update(names)


def held(config: Any, source: str, parts: Sequence[str] = BUILT) -> dict[str, Any]:
    """The config of a file, if it asks for nothing but what it may.

    Args:
        config: as it stands in the file.
        source: what the file was given as, for messages: "ckpt=best.ckpt".
        parts: those that will be built from it.

    Raises:
        ValueError: it is no config, or names a target, an option or a lookup that it may not; the message says where,
            and how to allow a target.
    """
    if not isinstance(config, Mapping):
        raise ValueError(f"{source}: its config is a {type(config).__name__}, expected names and values")
    needed = () if "made_by" in config else [part for part in NEEDED if part in parts]
    if missing := [part for part in needed if not isinstance(config.get(part), Mapping)]:
        raise ValueError(f"{source}: its config has no {', '.join(missing)}, expected that of a run")
    for place, text in _texts(config, ""):
        if "${" in text:
            raise ValueError(f"{source}: {place} is {text!r}, expected a value: a config from a file looks nothing up")
    for part in parts:
        for place, target in _found(config.get(part), part, "_target_"):
            if not may_name(part, target):
                raise ValueError(_refusal(source, place, target))
    for place, key in _keys(config.get("encoder"), "encoder"):
        if any(word in key for word in FETCHES):
            raise ValueError(f"{source}: {place} is an option that may load code; a config from a file can't set it")
    return dict(config)


def may_name(part: str, target: Any) -> bool:
    """Whether a config from a file may have a target in a part of it."""
    if not isinstance(target, str):
        return False
    asked = [name.strip() for name in os.environ.get(VARIABLE, "").split(",") if name.strip()]
    if target in ours().get(part, ()) or target in FORMER.get(part, ()) or target in _named or target in asked:
        return True
    packages = {*_plugins(), *asked}
    return any(target.startswith(f"{package}.") and _is_defined_in(package, target) for package in packages)


@cache
def ours() -> dict[str, frozenset[str]]:
    """Group of conf/ → the targets in its files."""
    groups = (folder for folder in CONF.iterdir() if folder.is_dir())
    return {folder.name: frozenset(t for file in folder.glob("*.yaml") for t in _targets(file)) for folder in groups}


def _targets(file: Any) -> Iterator[str]:
    yield from (target for _, target in _found(yaml.safe_load(file.read_text()), "", "_target_"))


def _plugins() -> set[str]:
    """Packages outside of denseup that have registered something in this process, or have a data module."""
    from denseup.data.datamodules import DenseData
    from denseup.networks.encoders.registry import ENCODERS
    from denseup.tasks.registry import TASKS
    from denseup.upsamplers.registry import UPSAMPLERS

    registered = [factory for kind in (TASKS, ENCODERS, UPSAMPLERS) for factory, _ in kind.factories.values()]  # type: ignore[attr-defined]
    modules = (thing.__module__ for thing in [*registered, *_below(DenseData)])
    return {module.partition(".")[0] for module in modules} - {"denseup"}


def _below(kind: type) -> Iterator[type]:
    children: list[type] = kind.__subclasses__()
    for child in children:
        yield child
        yield from _below(child)


def _is_defined_in(package: str, target: str) -> bool:
    """Whether a dotted name is that of something which a package defines: not of what it has imported."""
    module, _, name = target.rpartition(".")
    try:
        thing = getattr(import_module(module), name)
    except (ImportError, AttributeError, ValueError):
        return False
    home = str(getattr(thing, "__module__", ""))
    return home == package or home.startswith(f"{package}.")


def _refusal(source: str, place: str, target: Any) -> str:
    package = str(target).partition(".")[0]
    return (
        f"{source}: its config asks for {place}={target!r}, which is none of denseup's own and of no plug-in imported "
        f"here; a config from a file may run nothing else. If you trust the file and know what this is, "
        f"{VARIABLE}={package} in the environment allows what is defined in that package"
    )


def _found(value: Any, place: str, wanted: str) -> Iterator[tuple[str, Any]]:
    """Values under a key at any depth, each with its place."""
    for inner, key, item in _items(value, place):
        if key == wanted:
            yield inner, item
        yield from _found(item, inner, wanted)


def _keys(value: Any, place: str) -> Iterator[tuple[str, str]]:
    for inner, key, item in _items(value, place):
        yield inner, str(key)
        yield from _keys(item, inner)


def _texts(value: Any, place: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, str):
        yield place, value
    for inner, key, item in _items(value, place):
        yield from _texts(key, inner) if isinstance(key, str) else ()
        yield from _texts(item, inner)


def _items(value: Any, place: str) -> Iterator[tuple[str, Any, Any]]:
    """What a container holds: place, key (None in a list), value."""
    if isinstance(value, Mapping):
        yield from ((f"{place}.{key}".lstrip("."), key, item) for key, item in value.items())
    elif isinstance(value, list | tuple):
        yield from ((f"{place}[{i}]", None, item) for i, item in enumerate(value))
