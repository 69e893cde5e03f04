"""Whether an upsampler is the one that goes by its name: published figures are of no other."""

from collections.abc import Mapping
from typing import Any

from denseup.upsamplers.registry import UPSAMPLERS


def has_its_own_options(config: Mapping[str, Any]) -> bool:
    """Whether every option but the start is what the upsampler `config["name"]` has where nobody says anything."""
    if config.get("name") not in UPSAMPLERS.names():
        return False
    own = UPSAMPLERS.defaults(config["name"])
    said = {name: value for name, value in config.items() if name not in ("name", "start")}
    return all(name in own and own[name] == value for name, value in said.items())
