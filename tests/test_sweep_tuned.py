"""Settings of each upsampler's own: the same trials for each, measured on held-out training images."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from configuring import configure
from processes import python_module

from denseup.cli.sweep import tuning
from denseup.data.datamodules import DemoData, HeldOutData
from denseup.engine import RunFolder

pytest.importorskip("optuna", reason="pip install '.[optuna]'")


def test_a_sweep_tunes_once_for_all_seeds_and_goes_on(tmp_path: Path) -> None:
    tiny = [
        "trainer=short",
        "trainer.max_steps=2",
        "trainer.limit_val_batches=2",
        "data.crop_size=64",
        "data.image_size=64",
    ]
    tiny += ["data.train_length=8", "model.embed_dim=16"]
    tiny += ["encoder.pretrained=false", "cache.limit_gb=0", "logger=none"]
    sweep = ["-m", "sweep=tuned", "upsampler=bilinear", "seed=0,1", "sweep.tuning.trials=2", "sweep.report=false"]
    command = ["src.train", *sweep, *tiny, f"hydra.sweep.dir={tmp_path}"]
    done = python_module(*command)
    assert done.returncode == 0, done.stdout + done.stderr

    (study,) = (tmp_path / "tuning").iterdir()
    best = json.loads((study / "best.json").read_text())
    assert best["trials"][0]["settings"]["recipe.optimization.lr"] == 0.002, "the recipe's own first"
    trials = [config(study / f"trial_{i}") for i in range(2)]
    assert [trial["protocol"]["hold_out"] for trial in trials] == [0.25, 0.25]
    assert [trial["seed"] for trial in trials] == [1000, 1000]
    rate = best["settings"]["recipe.optimization.lr"]
    runs = [config(file.parent) for file in sorted(tmp_path.glob("segmentation_*/result.json"))]
    assert [run["seed"] for run in runs] == [0, 1]
    assert [run["recipe"]["optimization"]["lr"] for run in runs] == [rate, rate]
    assert [run["protocol"]["tuned"] for run in runs] == [["recipe.optimization.lr"]] * 2
    assert [run["protocol"]["hold_out"] for run in runs] == [None, None]

    again = python_module(*command)
    assert again.returncode == 0, again.stdout + again.stderr
    assert again.stdout.count("skipped") >= 2
    assert "of tuning" not in again.stdout


def config(folder: Path) -> dict[str, Any]:
    return yaml.safe_load((folder / "config.yaml").read_text())


def tuned(folder: Path, measure: Any, **options: Any) -> tuple[dict[str, float], list[float]]:
    """What a study finds whose trials come to what `measure` says of their learning rate, and what it tried."""
    cfg = configure("sweep=tuned", *(f"sweep.tuning.{key}={value}" for key, value in options.items()))
    tried = []

    def train(run: RunFolder, of_trial: Any, overrides: list[str]) -> None:
        rate = of_trial.recipe.optimization.lr
        assert f"recipe.optimization.lr={rate!r}" in overrides
        tried.append(rate)
        value = measure(rate)
        status = "failed" if value is None else "finished"
        metrics = {"averaged": {"miou": value}, "last": {"miou": -1}, "best": {"miou": -1}}
        run.write_result({"status": status, "monitor": "miou", "metrics": metrics})

    return tuning.tuned(cfg, folder, train), tried


def test_the_best_trial_is_taken_and_remembered(tmp_path: Path) -> None:
    found, tried = tuned(tmp_path, lambda rate: -abs(rate - 0.004), trials=6)
    assert len(tried) == 6
    assert tried[0] == 0.002
    assert all(0.0005 <= rate <= 0.008 for rate in tried)
    assert found == {"recipe.optimization.lr": min(tried, key=lambda rate: abs(rate - 0.004))}
    assert tuned(tmp_path, lambda rate: pytest.fail("asked again"), trials=6) == (found, [])
    again, repeated = tuned(tmp_path / "elsewhere", lambda rate: -abs(rate - 0.004), trials=6)
    assert (again, repeated) == (found, tried), "the same plan tries the same"
    assert len(tuned(tmp_path, lambda rate: rate, trials=3)[1]) == 3, "another plan is another study"


def test_failed_trials_are_told_and_passed_over(tmp_path: Path) -> None:
    found, tried = tuned(tmp_path, lambda rate: None if rate == 0.002 else rate, trials=4)
    assert found["recipe.optimization.lr"] == max(tried[1:])
    with pytest.raises(ValueError, match=r"none of the 2 trials in .* finished"):
        tuned(tmp_path / "all", lambda rate: None, trials=2)


@pytest.mark.parametrize(
    ("share", "message"), [(0, "between 0 and 1"), (1.0, "between 0 and 1"), (0.01, "without any")]
)
def test_shares_that_are_none(share: float, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        HeldOutData(DemoData("matting", train_length=8).parted(share)).make("train")
