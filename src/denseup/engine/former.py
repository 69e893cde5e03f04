"""Configs that earlier versions wrote into run folders and checkpoints, said in today's words.

Whatever reads the config of a run goes through `upgraded`, so that old runs are evaluated, resumed, loaded and reported
like new ones; `tests/engine/test_former.py` has runs of earlier versions.
"""

from collections.abc import Callable, Mapping
from copy import deepcopy
from typing import Any

Options = dict[str, Any]

FORMER_SAMPLES = "former_samples"
"""Entry of a config: its training samples are not those that this version makes at the same seed."""
NETWORKS = "denseup.networks"
FOLDERS = "denseup.data.datamodules.SegmentationFolderData"
CAMVID_CLASSES = ["sky", "building", "pole", "road", "pavement", "tree"]
CAMVID_CLASSES += ["sign_symbol", "fence", "car", "pedestrian", "bicyclist"]


def upgraded(config: Mapping[str, Any]) -> Options:
    """The config of a run as this version would write it; one of today's comes back as it is, in a copy."""
    new: Options = deepcopy(dict(config))
    if "data" in new:
        new["data"] = _data(new["data"])
    if isinstance(new.get("upsampler"), dict):
        gained = FORMER_DEFAULTS.get(new["upsampler"].get("name"), {})
        new["upsampler"] |= {key: value for key, value in gained.items() if key not in new["upsampler"]}
    if "task" in new:  # there was one protocol
        new.setdefault("protocol", {"name": "finetune", "evaluation": "best", "hold_out": None, "tuned": []})
    for part in ("upsampler", "recipe"):  # the only start that there was
        if isinstance(new.get(part), dict):
            new[part].setdefault("start", "published")
    if _had_former_samples(new):
        new[FORMER_SAMPLES] = True
    of_trainer = (("compile", False), ("gradient_clip_algorithm", "norm"))
    for part, option in (*(("trainer", option) for option in of_trainer), ("recipe", ("effective_batch_size", None))):
        if "task" in new and isinstance(new.get(part), dict):
            new[part].setdefault(*option)
    return new if "encoder" in new else {**new, **_network(new.get("model"))}


def _had_former_samples(config: Options) -> bool:
    """Whether a run's random crops are those of versions in which all steps of the augmentation drew from one stream.

    Nothing was drawn for whole images, which a frozen encoder's features are kept of.
    """
    recipe, data = config.get("recipe"), config.get("data")
    if "task" not in config or not isinstance(recipe, dict) or "optimization" not in recipe:
        return False
    frozen = (config.get("protocol") or {}).get("name") == "frozen"
    whole = frozen and isinstance(data, dict) and data.get("fixed_views") == "whole"
    return "effective_batch_size" not in recipe and not whole


def _network(model: Any) -> Options:
    """Encoders were part of the model; a network of one's own has none beside it."""
    package, _, kind = str(model.get("_target_") if isinstance(model, Mapping) else None).rpartition(".")
    if package != NETWORKS or kind not in FORMER_NETWORKS:
        return {"encoder": None}
    encoder, decoder = FORMER_NETWORKS[kind]({key: value for key, value in model.items() if key != "_target_"})
    return {"encoder": encoder, "model": decoder}


def _matting(options: Options) -> tuple[Options, Options]:
    encoder = {key: value for key, value in options.items() if key in ("width", "depths", "pretrained")}
    decoder = {key: value for key, value in options.items() if key not in ("depths", "pretrained")}
    return {"name": "resnet34", **encoder}, {"_target_": f"{NETWORKS}.MattingNetwork", **decoder}


def _segmentation(options: Options) -> tuple[Options, Options]:
    name, backbone = f"mit_{options.pop('variant', 'b1')}", options.pop("backbone", None) or {}
    encoder = {key: options.pop(key) for key in ("drop_path", "pretrained") if key in options}
    return {"name": name, **encoder, **backbone}, {"_target_": f"{NETWORKS}.SegmentationNetwork", **options}


def _data(data: Options) -> Options:
    """Data modules were in one module, `denseup.data.datamodule`, and had no name; CamVid and ADE20K were classes."""
    package, _, kind = str(data.get("_target_", "")).rpartition(".")
    if package != "denseup.data.datamodule":
        return data
    return FORMER_DATA.get(kind, _renamed)({**data, "_target_": f"denseup.data.datamodules.{kind}"})


def _renamed(data: Options) -> Options:
    return {"name": NAMES.get(data["_target_"].rpartition(".")[2]), **data}


def _camvid(data: Options) -> Options:
    fixed = {"num_classes": 11, "class_names": CAMVID_CLASSES, "ignore_labels": [11], "long_side": None}
    return {"name": "camvid", **data, "_target_": FOLDERS, **fixed}


def _ade20k(data: Options) -> Options:
    splits = ["training", "validation", "validation"]
    fixed = {"num_classes": 150, "labels": "annotations", "reduce_zero_label": True, "splits": splits}
    return {"name": "ade20k", **data, "_target_": FOLDERS, **fixed, "short_side": 512, "long_side": 2048}


NAMES = {
    "DemoData": "demo",
    "Composition1kData": "composition1k",
    "MattingFolderData": "matting_folder",
    "SegmentationFolderData": "segmentation_folder",
}
FORMER_DATA: dict[str, Callable[[Options], Options]] = {"CamVidData": _camvid, "ADE20KData": _ade20k}
FORMER_NETWORKS = {"MattingResNet34": _matting, "SegFormer": _segmentation}
"""Class of the network → (encoder, model) from its options."""
FORMER_DEFAULTS = {"indexnet": {"kind": "holistic"}, "sapa": {"query": "en"}}
"""Options that upsamplers have gained, with what they did before."""
