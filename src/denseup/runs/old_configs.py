"""Configs of before encoders were a group of their own: what they say, in today's words."""

from collections.abc import Mapping
from typing import Any

PACKAGE = "denseup.networks"


def upgraded(config: Mapping[str, Any]) -> dict[str, Any]:
    """A run's config with a group `encoder`: one that has it stays as it is, and a network of one's own has None."""
    if "encoder" in config:
        return dict(config)
    model = config.get("model")
    package, _, kind = str(model.get("_target_") if isinstance(model, Mapping) else None).rpartition(".")
    if package != PACKAGE or kind not in TODAY:
        return {**config, "encoder": None}
    encoder, decoder = TODAY[kind]({key: value for key, value in dict(model or {}).items() if key != "_target_"})
    return {**config, "encoder": encoder, "model": decoder}


def _matting(options: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    encoder = {key: value for key, value in options.items() if key in ("width", "depths", "pretrained")}
    decoder = {key: value for key, value in options.items() if key not in ("depths", "pretrained")}
    return {"name": "resnet34", **encoder}, {"_target_": f"{PACKAGE}.MattingNetwork", **decoder}


def _segmentation(options: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    name, backbone = f"mit_{options.pop('variant', 'b1')}", options.pop("backbone", None) or {}
    encoder = {key: options.pop(key) for key in ("drop_path", "pretrained") if key in options}
    return {"name": name, **encoder, **backbone}, {"_target_": f"{PACKAGE}.SegmentationNetwork", **options}


TODAY = {"MattingResNet34": _matting, "SegFormer": _segmentation}
"""Class of the network → (encoder, model) from its options."""
