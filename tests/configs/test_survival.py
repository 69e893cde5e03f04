"""Every value that a file of conf/ sets is in the composed config: no file that comes later takes it back."""

from collections.abc import Iterator
from itertools import zip_longest
from pathlib import Path
from typing import Any

import pytest
from hydra import compose, initialize_config_dir
from hydra.core.config_store import ConfigStore
from hydra.core.plugins import Plugins
from hydra.plugins.launcher import Launcher
from omegaconf import OmegaConf

from denseup.cli.places import CONF

Choice = tuple[str, str]
PLAIN = ("callbacks", "data", "encoder", "logger", "model", "recipe", "task", "trainer")
"""Groups whose choices set only what is theirs: one of each is composed together with one of every other."""
ROUNDS = list(zip_longest(*([(group, file.stem) for file in sorted((CONF / group).glob("*.yaml"))] for group in PLAIN)))
WHOLE = [(group, file.stem) for group in ("sweep", "launcher") for file in sorted((CONF / group).glob("*.yaml"))]
"""Choices that set values of other groups, and of Hydra's."""
EXPERIMENTS = [file.stem for file in sorted((CONF / "experiment").glob("*.yaml"))]


def values(config: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """(dotted path, value) of every leaf."""
    if not isinstance(config, dict) or not config:
        yield path, config
        return
    for key, value in config.items():
        yield from values(value, f"{path}.{key}" if path else key)


def own_values(file: Path) -> dict[str, Any]:
    """What a config file sets itself, by its place in the whole config."""
    config = OmegaConf.to_container(OmegaConf.load(file))
    config.pop("defaults", None)
    whole = file.parent == CONF or file.read_text().startswith("# @package _global_\n")
    return dict(values(config, "" if whole else file.parent.name)) if config else {}


def composed(name: str, *choices: Choice, hydra: bool = True) -> dict[str, Any]:
    with initialize_config_dir(str(CONF), version_base="1.3"):
        cfg = compose(name, [f"{group}={choice}" for group, choice in choices], return_hydra_config=hydra)
    return dict(values(OmegaConf.to_container(cfg)))


def assert_all_survive(cfg: dict[str, Any], *choices: Choice) -> None:
    for group, choice in choices:
        own = own_values(CONF / group / f"{choice}.yaml")
        assert {path: cfg[path] for path in own} == own, f"{group}={choice}"


@pytest.mark.parametrize("number", range(len(ROUNDS)))
def test_what_a_choice_sets_survives(number: int) -> None:
    choices = [choice for choice in ROUNDS[number] if choice]
    assert_all_survive(composed("train", *choices, hydra=False), *choices)


@pytest.fixture
def ray_launcher() -> None:
    """Its plugin cannot be installed beside the others: whatever it sets, our values come after it."""
    if not any("ray" in launcher.__module__ for launcher in Plugins.instance().discover(Launcher)):
        options = {"init": {"address": "auto"}, "remote": {"num_cpus": 9}}
        ConfigStore.instance().store("ray", {"_target_": "none", "ray": options}, "hydra/launcher")


@pytest.mark.usefixtures("ray_launcher")
@pytest.mark.parametrize("choice", WHOLE, ids="=".join)
def test_what_a_sweep_or_a_launcher_sets_survives(choice: Choice) -> None:
    assert_all_survive(composed("train", choice), choice)


@pytest.mark.parametrize("experiment", EXPERIMENTS)
@pytest.mark.parametrize("sweep", [choice for choice in WHOLE if choice[0] == "sweep"], ids="=".join)
def test_what_an_experiment_sets_survives_any_sweep(experiment: str, sweep: Choice) -> None:
    choice = ("experiment", experiment)
    assert_all_survive(composed("train", choice, sweep, hydra=False), choice)


@pytest.mark.parametrize("file", sorted(CONF.glob("*.yaml")), ids=lambda file: file.stem)
def test_what_an_entry_point_sets_survives(file: Path) -> None:
    cfg, own = composed(file.stem), own_values(file)
    assert {path: cfg[path] for path in own} == own


def test_the_published_matting_setting_has_its_seed() -> None:
    overrides = ["experiment=composition1k", "data.root=a", "data.backgrounds=b"]
    with initialize_config_dir(str(CONF), version_base="1.3"):
        cfg = compose("train", overrides)
        assert (cfg.seed, cfg.data.seed, cfg.encoder.pretrained, cfg.recipe.max_steps) == (6, 6, True, 180_000)
        assert compose("train", [*overrides, "seed=3"]).seed == 3
