"""Every value that a file of conf/ sets is in the composed config: no other file that comes later takes it back."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hydra import compose, initialize_config_dir
from hydra.core.config_store import ConfigStore
from hydra.core.plugins import Plugins
from hydra.plugins.launcher import Launcher
from omegaconf import OmegaConf

from src.build import CONF

GROUPS = [folder.name for folder in sorted(CONF.iterdir()) if folder.is_dir()]
CHOICES = [file for group in GROUPS for file in sorted((CONF / group).glob("*.yaml"))]


def values(config: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """(dotted path, value) of every leaf."""
    if not isinstance(config, dict) or not config:
        yield path, config
        return
    for key, value in config.items():
        yield from values(value, f"{path}.{key}" if path else key)


def read(file: Path) -> tuple[dict[str, Any], str]:
    """What a config file sets itself, and the package that it sets it in."""
    config = OmegaConf.to_container(OmegaConf.load(file))
    config.pop("defaults", None)
    whole = "@package _global_" in file.read_text().splitlines()[0]
    return config, "" if whole else file.parent.name


def composed(name: str, *overrides: str) -> dict[str, Any]:
    with initialize_config_dir(str(CONF), version_base="1.3"):
        cfg = compose(name, list(overrides), return_hydra_config=True)
    return dict(values(OmegaConf.to_container(cfg, resolve=False)))


def task_of(file: Path) -> str:
    """For groups whose names in the defaults follow the task, so that the choice is one the task has."""
    return "task=matting" if file.stem.startswith(("matting", "composition")) else "task=segmentation"


@pytest.fixture
def every_launcher() -> None:
    """Plugins that are not installed have configs too: what ours set has to survive whatever they are."""
    known = {launcher.__module__ for launcher in Plugins.instance().discover(Launcher)}
    if not any("ray" in module for module in known):
        ConfigStore.instance().store(
            "ray", {"_target_": "none", "ray": {"init": {"address": "local"}, "remote": {}}}, "hydra/launcher"
        )


@pytest.mark.usefixtures("every_launcher")
@pytest.mark.parametrize("file", CHOICES, ids=lambda file: f"{file.parent.name}={file.stem}")
def test_what_a_choice_sets_survives(file: Path) -> None:
    own, package = read(file)
    overrides = [f"{file.parent.name}={file.stem}"]
    if file.parent.name not in ("task", "experiment", "sweep"):
        overrides.append(task_of(file))
    cfg = composed("train", *overrides)
    for path, value in values(own, package):
        if path:
            assert cfg[path] == value or value == {}, path


@pytest.mark.parametrize("file", sorted(CONF.glob("*.yaml")), ids=lambda file: file.stem)
def test_what_an_entry_point_sets_survives(file: Path) -> None:
    own, _ = read(file)
    cfg = composed(file.stem)
    for path, value in values(own):
        assert cfg[path] == value, path


@pytest.mark.parametrize("sweep", [file.stem for file in sorted((CONF / "sweep").glob("*.yaml"))])
@pytest.mark.parametrize("experiment", [file.stem for file in sorted((CONF / "experiment").glob("*.yaml"))])
def test_an_experiment_survives_a_sweep(experiment: str, sweep: str) -> None:
    own, _ = read(CONF / "experiment" / f"{experiment}.yaml")
    cfg = composed("train", f"experiment={experiment}", f"sweep={sweep}")
    for path, value in values(own):
        assert cfg[path] == value, path


def test_the_published_matting_setting_has_its_seed() -> None:
    with initialize_config_dir(str(CONF), version_base="1.3"):
        cfg = compose("train", ["experiment=composition1k", "data.root=a", "data.backgrounds=b"])
        assert (cfg.seed, cfg.data.seed, cfg.model.pretrained, cfg.recipe.max_steps) == (6, 6, True, 180_000)
        assert compose("train", ["experiment=composition1k", "seed=3"]).seed == 3
