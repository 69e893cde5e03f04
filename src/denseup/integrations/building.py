"""An upsampler from a name and the options of another library's config, whose mistakes are named."""

import difflib
import inspect
from collections.abc import Mapping
from typing import Any

from denseup.upsamplers.base import Upsampler
from denseup.upsamplers.registry import UPSAMPLERS, create_upsampler

ALWAYS = ("de_channels", "en_channels", "scale_factor", "start")
"""Options that every upsampler has; `start` is not told to those that have no say."""


def build_upsampler(name: str, options: Mapping[str, Any]) -> Upsampler:
    """`create_upsampler(name, **options)`.

    Raises:
        ValueError: unknown name, unknown option or a value that does not fit; the message names it and what is valid.
    """
    check_options(name, options)
    return create_upsampler(name, **options)


def check_options(name: str, options: Mapping[str, Any]) -> None:
    """ValueError for an unknown name, or an option that it does not have; with the nearest and all that it has."""
    known = options_of(name)
    for option in options:
        if known is not None and option not in known:
            nearest = difflib.get_close_matches(option, known, n=1, cutoff=0.6)
            hint = f" Did you mean {nearest[0]!r}?" if nearest else ""
            raise ValueError(f"upsampler {name!r} has no option {option!r}.{hint} It has: {', '.join(known)}")


def options_of(name: str) -> list[str] | None:
    """Options that the upsampler `name` takes, without those that its name fixes; None: it takes any."""
    UPSAMPLERS.find(name)  # an unknown name is an error that lists the known ones
    factory, preset = UPSAMPLERS.factories[name]
    parameters = inspect.signature(factory).parameters.values()
    if any(p.kind is p.VAR_KEYWORD for p in parameters):
        return None
    return list(dict.fromkeys([*ALWAYS, *(p.name for p in parameters if p.name not in preset)]))
