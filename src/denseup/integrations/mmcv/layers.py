"""denseup's upsamplers in mmengine's registry of models, from which `mmcv.cnn.build_upsample_layer` builds."""

import functools
from collections.abc import Callable
from typing import Any

import torch
from mmengine.registry import MODELS, Registry

from denseup.integrations.building import build_upsampler
from denseup.integrations.mmcv.reassembly import CARAFEPack
from denseup.upsamplers.base import Upsampler
from denseup.upsamplers.registry import UPSAMPLERS, list_upsamplers

SCOPE = "denseup"


class _Upsamplers(Registry):
    """What `type="denseup.NAME"` is looked up in: everything in denseup's registry at that moment, then as ever."""

    def get(self, key: str) -> Any:
        """What builds `key`; a ValueError that lists the upsamplers, where nothing of that name is known."""
        scope, name = self.split_scope_key(key)
        if scope in (None, SCOPE) and name in UPSAMPLERS.factories:
            return builder(name)
        return super().get(key) or UPSAMPLERS.find(name)


def _scoped() -> Registry:
    """The child of mmengine's registry with our scope; made once."""
    return MODELS.children.get(SCOPE) or _Upsamplers("model", parent=MODELS, scope=SCOPE)


DENSEUP = _scoped()


def register_upsamplers() -> None:
    """Register every upsampler by its bare name, where mmcv, mmengine or anyone else has nothing of that name.

    To be called again only for upsamplers that were registered with denseup after this module had been imported.
    """
    for name in list_upsamplers():
        if name not in MODELS.module_dict:
            MODELS.register_module(name=name, module=_mmcvs_carafe if name == "carafe" else builder(name))


@functools.cache
def builder(name: str) -> Callable[..., Upsampler]:
    """What the registry holds for an upsampler: a function that builds it from the options of a config."""

    def build(*args: Any, **options: Any) -> Upsampler:
        if args:
            raise ValueError(f"upsampler {name!r} takes its options by keyword, not {args}")
        options = _in_our_words(name, options)
        layer = build_upsampler(name, options)
        vars(layer)["init_weights"] = functools.partial(_start_anew, layer, name, options)
        return layer

    build.__name__ = build.__qualname__ = name
    build.__doc__ = f"Build denseup's upsampler {name!r}; mmcv's in_channels (or channels) is its de_channels."
    return build


def _mmcvs_carafe(*args: Any, **options: Any) -> torch.nn.Module:
    """`carafe`: mmcv's layer for a config in mmcv's words (`channels`, `up_kernel`, …), else denseup's upsampler."""
    if args or "channels" in options:
        return CARAFEPack(*args, **options)
    return builder("carafe")(**options)


def _in_our_words(name: str, options: dict[str, Any]) -> dict[str, Any]:
    """Options with `de_channels` for what mmcv's layers call `in_channels` or `channels`.

    Raises:
        ValueError: two of the names with different values, none of them, or an `out_channels` that is another number.
    """
    given = {key: options[key] for key in ("de_channels", "in_channels", "channels", "out_channels") if key in options}
    if not given.keys() - {"out_channels"}:
        raise ValueError(f"upsampler {name!r} needs de_channels, the channels of the map that is raised")
    if len(set(given.values())) > 1:
        told = ", ".join(f"{key}={value}" for key, value in given.items())
        raise ValueError(f"upsampler {name!r} keeps the number of channels, but got {told}")
    rest = {key: value for key, value in options.items() if key not in given}
    return {"de_channels": next(iter(given.values())), **rest}


def _start_anew(layer: Upsampler, name: str, options: dict[str, Any]) -> None:
    """Back to the operator's own start: mmengine calls it after the `init_cfg` of the modules around has drawn anew."""
    with torch.no_grad():
        layer.load_state_dict(build_upsampler(name, options).state_dict())
