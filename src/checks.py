"""What a person at the command line can get wrong, checked before any work begins."""

import shlex
import sys
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from omegaconf import DictConfig

from denseup.runs.options import check_trainer
from denseup.tasks.checks import check_whole

SEEDS = 2**32
"""NumPy takes no greater ones."""
TAKING_A_VALUE = ("--config-path", "-cp", "--config-name", "-cn", "--config-dir", "-cd", "--package", "-p")
"""Options of Hydra that the next argument belongs to."""
LEAST = {
    "batch_size": 1,
    "num_workers": 0,
    "crop_size": 1,
    "short_side": 1,
    "long_side": 1,
    "train_length": 1,
    "val_length": 1,
    "image_size": 1,
    "num_classes": 1,
    "seed": 0,
}
"""Whole numbers among the options of data, and what each is at least."""


def check_config(cfg: DictConfig) -> None:
    """ValueError that names the first value of a run's config which no run can have, before anything is built."""
    check_whole("seed", cfg.seed, 0, SEEDS - 1)
    check_whole("check_data", cfg.check_data, 0)
    check_data_options(cfg.data)
    name = cfg.upsampler.get("name")
    if not isinstance(name, str) or not name:
        raise ValueError(f"upsampler.name is {name!r}, expected the name of an upsampler, such as fade")
    if cfg.resume is not None:
        check_path("resume", cfg.resume, "file")
    check_trainer(cfg.trainer)


def check_data_options(options: Mapping[str, Any]) -> None:
    """ValueError for a size or number of the data that is none; null is left to the data's default."""
    for key in options:
        if key in LEAST and options[key] is not None:
            check_whole(f"data.{key}", options[key], LEAST[key])
    for key in ("root", "backgrounds"):
        if key in options:
            check_path(f"data.{key}", options[key], "folder")
    size = options.get("test_size")
    if size is not None:
        if len(size) != 2:
            raise ValueError(f"data.test_size is {list(size)}, expected [short side, long side] in pixels")
        for side in size:
            check_whole("data.test_size", side, 1)


def check_path(name: str, value: Any, kind: str) -> None:
    """ValueError for what Hydra has read as something else than a path, such as a number or a list."""
    if not isinstance(value, str) or not value:
        literal = f"{name}={quoted('PATH')}"
        raise ValueError(f"{name} is {value!r}, expected the path of a {kind}; {literal} is read as it stands")


def quoted(value: str, quote: str = '"') -> str:
    """A value as Hydra reads it literally, whatever is in it."""
    escaped = value.replace(f"\\{quote}", f"\\\\{quote}").replace(quote, f"\\{quote}")
    return f"{quote}{escaped}\\{quote}" if escaped.endswith("\\") else f"{quote}{escaped}{quote}"


def refuse_unreadable(argv: Sequence[str], groups: Sequence[str]) -> None:
    """End with a message that names the argument where Hydra's would only point at a character.

    Args:
        argv: the command line.
        groups: names of config groups, of which each has to be something.
    """
    parser, multirun = OverridesParser.create(), bool({"-m", "--multirun"} & set(argv))
    for option, argument in zip(["", *argv], argv, strict=False):
        key, equals, value = argument.partition("=")
        if argument.startswith("-") or option in TAKING_A_VALUE or not equals:
            continue
        if key in groups and value == "null":
            sys.exit(f"{argument}: the group {key} has no such choice; leave the argument out for the default")
        try:
            several = parser.parse_override(argument).is_sweep_override()
        except HydraException as error:
            _refuse(key, value, f"cannot be read ({str(error).splitlines()[0]})")
        if several and key not in groups and not multirun:
            _refuse(key, value, "stands for several, which only a sweep (-m) can have")


def _refuse(key: str, value: str, why: str) -> NoReturn:
    example = shlex.quote(f"{key}={quoted(value)}")
    sys.exit(
        f"{key}: the value {value} {why}.\n"
        f"Characters such as = , [ ] {{ }} ( ) # & need quotes, and these need the shell's: {example}"
    )
