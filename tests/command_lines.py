"""Whether a command of the docs could be run: its program, its options and its config, composed and not started."""

import contextlib
import importlib
import io
import re
import tomllib
from collections.abc import Sequence
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_dir
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import DictConfig, OmegaConf, open_dict

from denseup.cli.checks import check_config, check_data_options
from denseup.cli.command import COMMANDS
from denseup.cli.composing import settings
from denseup.cli.config import plain, suggest
from denseup.cli.places import CONF

ROOT = Path(__file__).parent.parent
TOOLS = ("pytest", "ruff", "mypy", "mkdocs", "pre-commit", "wandb", "git", "source", "cd", "cat", "echo")
"""Programs of others, whose arguments they know themselves."""
PLACEHOLDER = "PATH"
"""In place of … in an argument."""


def check(words: Sequence[str]) -> None:
    """An error, or SystemExit, of a command that could not be run as it stands."""
    words = [word.replace("…", PLACEHOLDER) for word in words]
    program, *arguments = words
    if program == "pip":
        _check_pip(arguments)
    elif program == "denseup":
        _check_denseup(arguments)
    elif program in ("python", "python3"):
        _check_python(arguments)
    elif "/" in program:
        assert (ROOT / program).is_file(), program
    elif program not in TOOLS:
        raise ValueError(f"{program} is no program that the docs may use: {', '.join(TOOLS)}")


def _check_python(arguments: Sequence[str]) -> None:
    if arguments[0] != "-m":
        assert (ROOT / arguments[0]).is_file(), arguments[0]
        return
    module = arguments[1]
    package, _, name = module.rpartition(".")
    if package in ("src", "denseup.cli"):
        _check_denseup([name, *arguments[2:]])
    else:
        assert find_spec(module) is not None, module


def _check_pip(arguments: Sequence[str]) -> None:
    """Extras and constraints of ours exist."""
    if "-c" in arguments:
        assert (ROOT / arguments[arguments.index("-c") + 1]).is_file()
    known = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    for argument in arguments:
        if found := re.fullmatch(r"(?:\.|denseup)\[([\w,]+)\]", argument):
            unknown = set(found[1].split(",")) - set(known)
            assert not unknown, f"no such extra: {unknown}"


def _check_denseup(arguments: Sequence[str]) -> None:
    """A command of ours with arguments that it accepts, and a config that composes."""
    name, *rest = arguments
    if name.startswith("--"):
        return
    assert name in COMMANDS, f"no such command: {name}"
    assert (ROOT / "src" / f"{name}.py").is_file()
    with contextlib.redirect_stderr(io.StringIO()) as said:
        try:
            {"train": _check_training, "evaluate": _check_evaluation}.get(name, _parser_of(name))(rest)
        except SystemExit as end:
            raise ValueError(f"denseup {' '.join(arguments)}: {end} {said.getvalue()}") from end


def _parser_of(name: str) -> Any:
    """What reads the arguments of a command that is not Hydra's alone."""
    module = importlib.import_module(f"denseup.cli.{name}")

    def read(arguments: Sequence[str]) -> None:
        if hasattr(module, "parse"):
            module.parse(arguments)
            return
        flags = vars(module.parser().parse_args(list(arguments))) if hasattr(module, "parser") else {"words": arguments}
        words = flags.pop("words", None) or flags.pop("overrides", [])
        cfg = settings(name, module.spell(words) if hasattr(module, "spell") else words, flags)
        assert not OmegaConf.missing_keys(cfg), f"{name} needs {OmegaConf.missing_keys(cfg)}"

    return read


def _check_training(arguments: Sequence[str]) -> None:
    """Compose the run, or the first run of a sweep; of the others, that what they choose exists."""
    suggest(list(arguments))
    overrides = [argument for argument in arguments if argument not in ("-m", "--multirun")]
    multirun = len(overrides) < len(arguments)
    first = [_first(override) if multirun else override for override in overrides]
    if multirun:
        given = {override.partition("=")[0] for override in overrides}
        searched = _composed("train", tuple(first)).hydra.sweeper.get("params") or {}
        first += [_first(f"{key}={value}") for key, value in searched.items() if key not in given]
    cfg = _composed("train", tuple(first)).copy()
    with open_dict(cfg):
        cfg.pop("hydra")
    plain(cfg)
    check_config(cfg)


def _first(override: str) -> str:
    """The first of several values; a group's other choices have to exist."""
    (parsed,) = OverridesParser.create().parse_overrides([override])
    if not parsed.is_sweep_override() or parsed.is_hydra_override():
        return override
    if not parsed.is_discrete_sweep():  # an interval
        return f"{parsed.key_or_group}={parsed.value().start}"
    if "glob(" in override:
        return f"{parsed.key_or_group}={sorted((CONF / parsed.key_or_group).glob('*.yaml'))[0].stem}"
    values = list(parsed.sweep_string_iterator())
    if (CONF / parsed.key_or_group).is_dir():
        for value in values:
            assert (CONF / parsed.key_or_group / f"{value}.yaml").is_file(), f"{parsed.key_or_group}={value}"
    return f"{parsed.key_or_group}={values[0]}"


def _check_evaluation(arguments: Sequence[str]) -> None:
    suggest(list(arguments))
    cfg = _composed("evaluate", tuple(arguments)).copy()
    with open_dict(cfg):
        cfg.pop("hydra")
    whole = OmegaConf.create({**cfg, "seed": 0})  # which the run's config has
    OmegaConf.to_container(whole, resolve=True, throw_on_missing=True)
    check_data_options(whole.data)


@cache
def _composed(name: str, overrides: tuple[str, ...]) -> DictConfig:
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return compose(name, list(overrides), return_hydra_config=True)
