"""The authors' files as checkpoints: `ckpt=official:PATH`.

What the file tells by its keys and shapes is taken from it; what it does not tell has to be said, or is named where the
default is taken; what is said and contradicts it is refused.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import yaml
from omegaconf import DictConfig, OmegaConf
from torch import Tensor

from denseup.checkpoints import LoadReport, load_official
from denseup.checkpoints.recognition import Candidate, Recognised, candidates, recognise
from denseup.cli.evaluation_data import group_file, merged_data, named_on_the_command_line
from denseup.cli.places import CONF, OFFICIAL, path_of
from denseup.engine.folder import CONFIG_KEY
from denseup.tasks import DenseTask
from denseup.upsamplers.registry import UPSAMPLERS
from denseup.weights import read_content, shapes_of, unwrap

GIVEN = ("task", "encoder", "model", "upsampler")
"""Groups of a command line that say what a file does not tell; of a run's checkpoint its config says all of it."""
PUBLISHED = {"matting": ("matting", "composition1k"), "segmentation": ("segformer", "ade20k")}
"""Task → choice of the model, and of the data that the authors evaluate on."""
ADE20K_CLASSES = 150
WARNING = "warning: "
"""Before a note that says what could not be told."""
OF_AUTHORS = "official"
"""Entry of the config of an evaluation of such a file: its path."""
NOWHERE = "."
"""Folder of data that nothing is read of."""


@dataclass(frozen=True)
class OfficialFile:
    """A file of the authors and what was recognised in it.

    Args:
        path: of the file.
        tensors: by the authors' keys.
        network: that they are of.
        upsampler: in it.
        options: all of the upsampler's, as its config has them.
    """

    path: Path
    tensors: Mapping[str, Tensor] = field(repr=False)
    network: Recognised
    upsampler: Candidate
    options: Mapping[str, Any]

    def notes(self) -> list[str]:
        """What was recognised, and what the file does not tell."""
        encoder = " ".join(f"{key}={value}" for key, value in self.network.encoder.items() if key != "name")
        classes = f", {self.network.num_classes} classes" if self.network.num_classes else ""
        of = f"{self.network.task} on {self.network.encoder['name']}{' ' if encoder else ''}{encoder}{classes}"
        found = [f"{OFFICIAL}{self.path}: {of}; upsampler {self.upsampler}"]
        taken = [f"upsampler.{option}={self.options.get(option)}" for option in self.upsampler.untold]
        if taken:
            found.append(f"{WARNING}not told by the file, so the defaults are taken: {', '.join(taken)}")
        if self.upsampler.others:
            others = "; ".join(map(str, self.upsampler.others))
            found.append(f"{WARNING}the file's shapes fit the defaults of {self.upsampler.name}, and also {others}")
        return found


def read_file(source: str, given: Mapping[str, Any]) -> OfficialFile:
    """A file and what is recognised in it.

    Args:
        source: `official:PATH`.
        given: options by group, of `GIVEN`; of the upsampler those that were said, and its name.

    Raises:
        ValueError: a file that can't be read or is none of the two networks; what is given contradicts it; or it does
            not tell the upsampler, and none is given.
    """
    path = Path(path_of(source))
    content = read_content(path, "ckpt")
    if CONFIG_KEY in content:
        raise ValueError(f"ckpt={source}: a checkpoint of this package's own, expected ckpt={path}")
    tensors = unwrap(content, f"ckpt={source}")
    try:
        network = recognise(shapes_of(tensors))
        _check_network(network, given)
        upsampler = _upsampler(network, given.get("upsampler") or {})
    except ValueError as error:
        raise ValueError(f"ckpt={source}: {error}") from error
    options = {**_upsampler_file(upsampler.name), **upsampler.options}
    return OfficialFile(path, tensors, network, upsampler, options)


def load_into(task: DenseTask, tensors: Mapping[str, Tensor], source: str, allow_missing: bool = False) -> LoadReport:
    """Load the authors' tensors into the network of a task.

    Raises:
        ValueError: weights of the network are missing (which would stay random), of another shape, or given twice with
            two values; or constants that the authors save are of other options than the network's.
    """
    try:
        report = load_official(task.network, tensors)
    except ValueError as error:
        raise ValueError(f"ckpt={source}: {error}") from error
    if report.mismatched:
        wrong = "; ".join(f"{key} is {shapes}" for key, shapes in report.mismatched.items())
        raise ValueError(f"ckpt={source}: other shapes than the network's: {wrong}")
    if report.repeated:
        wrong = "; ".join(f"{key} is {what}" for key, what in report.repeated.items())
        raise ValueError(f"ckpt={source}: a weight of the network twice: {wrong}")
    if report.altered:
        wrong = "; ".join(f"{key} is {values}" for key, values in report.altered.items())
        raise ValueError(f"ckpt={source}: made with other options of the upsampler: {wrong}")
    if report.missing and not allow_missing:
        missing = f"{len(report.missing)} weights of the network are missing in the file, and would be random"
        raise ValueError(f"ckpt={source}: {missing}: {', '.join(report.missing)}; allow_missing=true leaves them so")
    return report


def whole_config(file: OfficialFile, given: Mapping[str, Any]) -> dict[str, Any]:
    """The config that a run of this network would have, for the data that the authors evaluate on.

    Args:
        file: read with the same `given`.
        given: options by group, which win over those of conf/ where the file does not tell.
    """
    network = file.network
    model, _ = PUBLISHED[network.task]
    encoder = {**_chosen(given, "encoder", network.encoder["name"]), **network.encoder, "pretrained": False}
    config = {
        "task": _chosen(given, "task", network.task),
        "upsampler": {**file.options, "name": file.upsampler.name},
        "encoder": encoder,
        "model": {**_chosen(given, "model", model), **network.model},
        "protocol": _group("protocol", "finetune"),
        "recipe": {"name": "official"},
        "data": {**published_data(network), "root": NOWHERE},
        "seed": 0,
        OF_AUTHORS: str(file.path),
    }
    # what our own files look up is said here: a config from a file may look nothing up
    return cast(dict[str, Any], OmegaConf.to_container(OmegaConf.create(config), resolve=True))


def published_data(network: Recognised) -> dict[str, Any]:
    """Options of the data that the authors evaluate a network on; of folders, where it has other classes."""
    _, name = PUBLISHED[network.task]
    if network.num_classes not in (None, ADE20K_CLASSES):
        name = "segmentation_folder"
    options = _group("data", name)
    if "backgrounds" in options:
        options["backgrounds"] = NOWHERE  # training alone looks at them
    return options if network.num_classes is None else {**options, "num_classes": network.num_classes}


def evaluated(cfg: DictConfig) -> tuple[OfficialFile, DictConfig, list[str]]:
    """A file, the config of its evaluation on the data of `cfg`, and what has to be said; errors as `read_file`."""
    given = given_in(cfg)
    file = read_file(cfg.ckpt, given)
    config = whole_config(file, given)
    chosen = cfg.get("data")
    config["data"], _ = merged_data(chosen, published_data(file.network), group_file(chosen))
    whole = OmegaConf.create({**config, "trainer": cfg.trainer, "logger": cfg.logger})
    _check_data(file, whole)
    return file, whole, file.notes()


def given_in(cfg: DictConfig) -> dict[str, Any]:
    """Options by group, as the command line gives them; of the upsampler no defaults of its file in conf/."""
    groups = {group: cast(dict[str, Any], OmegaConf.to_container(cfg[group])) for group in GIVEN if cfg.get(group)}
    if "upsampler" in groups:
        options = groups["upsampler"]
        defaults, named = _upsampler_file(options["name"]), named_on_the_command_line("upsampler")
        kept = {key: value for key, value in options.items() if key in named or defaults.get(key, None) != value}
        groups["upsampler"] = {"name": options["name"], **kept}
    return groups


def given_upsampler(value: Any) -> dict[str, Any]:
    """`given` of an upsampler that is said by its name, or by a mapping of its name and options, as text too.

    Raises:
        ValueError: a mapping without a name.
    """
    if value is None:
        return {}
    read = yaml.safe_load(value) if isinstance(value, str) else value
    options = {"name": read} if isinstance(read, str) else read
    if not isinstance(options, Mapping) or not isinstance(options.get("name"), str):
        raise ValueError(f"upsampler is {value!r}, expected a name, or {{name: NAME, OPTION: VALUE}}")
    return {"upsampler": dict(options)}


def _upsampler(network: Recognised, given: Mapping[str, Any]) -> Candidate:
    """The one upsampler that fits both the file and what is given."""
    name = given.get("name")
    options = {key: value for key, value in given.items() if key not in ("name", "start")}
    found = candidates(network.stages, name, options)
    if len(found) == 1:
        return found[0]
    listed = ", ".join(map(str, found))
    if name is None:
        if found:
            raise ValueError(f"the file does not tell which upsampler it is of; upsampler=… is needed: {listed} fit")
        keys = ", ".join(list(network.stages[0].shapes)[:3])
        raise ValueError(f"weights of no registered upsampler, or of unusual options ({keys}, …); upsampler=… may help")
    if found:
        raise ValueError(f"the file does not tell the options of {name}; upsampler.OPTION=… is needed: {listed} fit")
    fitting = ", ".join(map(str, candidates(network.stages))) or "no registered upsampler"
    said = f" with {', '.join(f'{key}={value}' for key, value in options.items())}" if options else ""
    raise ValueError(f"upsampler={name}{said} is asked for, but the file has the weights of {fitting}")


def _check_network(network: Recognised, given: Mapping[str, Any]) -> None:
    """ValueError if what is given is another network than the file's."""
    for group, told in (("task", {"name": network.task}), ("encoder", network.encoder), ("model", network.model)):
        options = given.get(group) or {}
        for key, value in told.items():
            said = options.get(key)
            if said is not None and not str(said).startswith("${") and said != value:
                name = group if key == "name" else f"{group}.{key}"
                raise ValueError(f"{name}={said} is asked for, but the file is of {name}={value}")


def _check_data(file: OfficialFile, whole: DictConfig) -> None:
    """ValueError for data without a place, or of other classes than the file's."""
    missing = sorted(key for key in OmegaConf.missing_keys(whole) if key.startswith("data."))
    if missing:
        needed = ", ".join(f"{key}=…" for key in missing)
        raise ValueError(f"ckpt={OFFICIAL}{file.path} is evaluated on data={whole.data.get('name')}: it needs {needed}")
    classes, told = whole.data.get("num_classes"), file.network.num_classes
    if classes is not None and told is not None and classes != told:
        raise ValueError(f"data.num_classes is {classes}, but ckpt={OFFICIAL}{file.path} has {told} classes")


def _chosen(given: Mapping[str, Any], group: str, name: str) -> dict[str, Any]:
    return dict(given.get(group) or _group(group, name))


def _group(group: str, name: str) -> dict[str, Any]:
    """A file of conf/ as it stands."""
    return cast(dict[str, Any], OmegaConf.to_container(OmegaConf.load(CONF / group / f"{name}.yaml")))


def _upsampler_file(name: str) -> dict[str, Any]:
    """The options of an upsampler's file in conf/; {} of one that has none."""
    UPSAMPLERS.find(name)
    return _group("upsampler", name) if (CONF / "upsampler" / f"{name}.yaml").is_file() else {}
