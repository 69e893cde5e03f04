"""Data to evaluate on: those of the run that wrote the checkpoint, with what the command line changes in them."""

import inspect
from collections.abc import Mapping
from typing import Any, cast

from hydra.core.config_store import ConfigStore
from hydra.core.hydra_config import HydraConfig
from hydra.utils import get_class
from omegaconf import DictConfig, OmegaConf

from denseup.cli.places import CONF

OF_RUN = "of_run"
"""The choice of data that is filled in from the checkpoint; any data.KEY=VALUE can be given to it."""
OWN = (
    "name",
    "_target_",
    "task",
    "root",
    "backgrounds",
    "batch_size",
    "num_workers",
    "seed",
    "crop_size",
    "train_length",
)
"""Options that other data have of their own, or that training alone looks at."""

ConfigStore.instance().store(OF_RUN, OmegaConf.create({}, flags={"struct": False}), "data")


def merged_data(chosen: DictConfig | None, run: Mapping[str, Any], group: Mapping[str, Any]) -> tuple[Any, list[str]]:
    """Options of the data to evaluate on, and what has to be said about them.

    Without a choice (`data.root=NEW` alone) they are the run's but for what is given. With the choice that the run had
    too, its other options are kept as well, and named; with another one it counts alone, and what differs is named.

    Args:
        chosen: `data` of the command line.
        run: the data options of the run that wrote the checkpoint.
        group: the options of the chosen group's file as they stand there; {} without a choice.

    Raises:
        ValueError: an option that these data do not have.
    """
    given = {} if chosen is None else cast(dict[str, Any], OmegaConf.to_container(chosen, resolve=False))
    if "_target_" not in given:
        _refuse_unknown(given, run)
        return OmegaConf.to_container(OmegaConf.merge(OmegaConf.create(dict(run)), given), resolve=False), []
    if given.get("name") != run.get("name"):
        differing = [key for key in run if key not in OWN and run[key] != given.get(key)]
        return given, [f"data.{key}: {given.get(key, 'no such option')}, in the run {run[key]}" for key in differing]
    named = named_on_the_command_line()
    untouched = (key for key in run if key not in named and given.get(key) in (group.get(key), "???"))
    kept = {key: run[key] for key in untouched if run[key] != given.get(key)}
    return {**given, **kept}, [f"data.{key}: {kept[key]} as in the run" for key in kept if key not in OWN]


def group_file(data: DictConfig | None) -> dict[str, Any]:
    """What the file of conf/data that these options were made from says, unresolved; {} if there is none."""
    file = CONF / "data" / f"{None if data is None else data.get('name')}.yaml"
    read = OmegaConf.load(file) if file.is_file() else OmegaConf.create({})
    return cast(dict[str, Any], OmegaConf.to_container(read, resolve=False))


def _refuse_unknown(given: Mapping[str, Any], run: Mapping[str, Any]) -> None:
    parameters = inspect.signature(get_class(run["_target_"])).parameters
    valid = sorted({*parameters, *run} - {"_target_", "_partial_", "_recursive_", "_convert_"})
    for key in given:
        if key not in valid:
            kind = run["_target_"].rpartition(".")[2]
            raise ValueError(
                f"data.{key}: {kind}, the data of this checkpoint's run, has no such option, valid: {', '.join(valid)}"
            )


def named_on_the_command_line(group: str = "data") -> set[str]:
    """Options of a group in this process's overrides; a config that was composed in another way has none."""
    if not HydraConfig.initialized():
        return set()
    keys = (override.partition("=")[0].lstrip("+~") for override in HydraConfig.get().overrides.task)
    return {key.split(".")[1] for key in keys if key.startswith(f"{group}.")}
