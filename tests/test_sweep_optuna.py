"""A study of an upsampler's options: what it is told, what fails, and how the same command goes on with it."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from hydra import compose, initialize_config_dir
from processes import python_module

import denseup.cli.sweep.jobs  # noqa: F401  # the resolvers of the configs
from denseup.cli.places import CONF

pytest.importorskip("hydra_plugins.hydra_optuna_sweeper", reason="pip install '.[optuna]'")

SHORT = [
    "trainer=short",
    "trainer.max_steps=2",
    "data.crop_size=64",
    "data.image_size=64",
    "data.val_length=1",
    "sweep.report=false",
]


def study(folder: Path, trials: int, *arguments: str) -> subprocess.CompletedProcess[str]:
    options = [*SHORT, "logger=csv", f"hydra.sweeper.n_trials={trials}", f"hydra.sweep.dir={folder}", *arguments]
    return python_module("src.train", "-m", "sweep=optuna", "upsampler=fade", *options)


def results(folder: Path) -> dict[tuple[str, ...], dict[str, Any]]:
    """result.json of every trial by what was searched."""
    found = {}
    for file in folder.glob("*/result.json"):
        config = yaml.safe_load((file.parent / "config.yaml").read_text())
        upsampler, recipe = config["upsampler"], config["recipe"]
        key = (upsampler["kernel_size"], upsampler["embed_channels"], recipe["optimization"]["lr"])
        found[key] = json.loads(file.read_text())
    return found


def best(folder: Path) -> dict[str, Any]:
    return yaml.safe_load((folder / "optimization_results.yaml").read_text())


def test_a_study_outlives_failures_and_goes_on(tmp_path: Path) -> None:
    """An even kernel size is refused: its trials fail, the others are told by their SAD."""
    search = ["task=matting", "upsampler.kernel_size=choice(4,5)", "hydra.sweeper.sampler.seed=2"]
    first = study(tmp_path, 2, *search)
    before = results(tmp_path)
    assert len(before) == 2, first.stdout + first.stderr
    assert {key[0] for key in before} == {4, 5}
    assert all((result["status"] == "finished") == (key[0] == 5) for key, result in before.items())
    assert first.returncode == 1
    assert first.stdout.count("failed: ") == sum(key[0] == 4 for key in before)
    values = {key: result["metrics"]["best"]["sad"] for key, result in before.items() if "metrics" in result}
    key = min(values, key=lambda key: values[key])
    assert best(tmp_path)["best_value"] == values[key]
    chosen = best(tmp_path)["best_params"]
    assert (chosen["upsampler.embed_channels"], chosen["recipe.optimization.lr"]) == key[1:]

    second = study(tmp_path, 3, *search)
    after = results(tmp_path)
    assert second.stdout.count("skipped (") == len(values)
    assert len(after) == 3, second.stdout + second.stderr
    assert after.items() >= {key: before[key] for key in values}.items()


def test_a_study_without_a_success_still_ends_with_its_table(tmp_path: Path) -> None:
    done = study(tmp_path, 1, "task=matting", "upsampler.kernel_size=4")
    assert done.returncode == 1
    assert "failed: " in done.stdout, done.stdout + done.stderr
    assert "kernel_size is 4" in done.stdout


def sweeper(*overrides: str) -> Any:
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return compose("train", overrides=["sweep=optuna", *overrides], return_hydra_config=True).hydra.sweeper


def test_the_direction_is_that_of_the_tasks_monitor() -> None:
    assert sweeper("task=matting").direction == "minimize"
    assert sweeper("task=segmentation").direction == "maximize"


def test_a_study_of_two_tasks_is_refused(tmp_path: Path) -> None:
    done = study(tmp_path, 1, "task=matting,segmentation")
    assert done.returncode == 1
    assert "task=matting,segmentation: a study is of one task" in done.stderr
    assert not list(tmp_path.glob("*/result.json"))
