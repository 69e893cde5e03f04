"""Both published settings from end to end, on trees in the layouts of their releases: trained, killed, evaluated."""

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path

import published_trees
import pytest
import torch
from configuring import configure
from pausing import environment, paused, pausing
from processes import started, wait_for

from denseup.cli import evaluate, train
from denseup.engine import RunFolder

UPSAMPLERS = ("bilinear", "carafe", "a2u", "indexnet", "fade")
REDUCED = ["encoder.pretrained=false", "data.crop_size=64", "data.batch_size=2", "data.num_workers=0"]
REDUCED += ["recipe.effective_batch_size=4", "trainer=short", "trainer.limit_val_batches=2", "logger=csv"]
TREES = {"composition1k": published_trees.composition1k, "ade20k": published_trees.ade20k}


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], list[str]]:
    """Experiment → what a command line says of its tree, which is made once."""
    made: dict[str, list[str]] = {}

    def of(experiment: str) -> list[str]:
        if experiment not in made:
            made[experiment] = TREES[experiment](tmp_path_factory.mktemp(experiment))
        return made[experiment]

    return of


CASES = [
    pytest.param(experiment, name, marks=[] if name == "fade" else pytest.mark.slow)
    for experiment in TREES
    for name in UPSAMPLERS
]


@pytest.mark.parametrize(("experiment", "upsampler"), CASES)
def test_it_trains_is_killed_goes_on_and_is_evaluated(
    experiment: str, upsampler: str, tree: Callable[[str], list[str]], tmp_path: Path
) -> None:
    """With reduced steps and crops; killed after its third step it ends with the weights of a run that was not."""
    said = [f"experiment={experiment}", f"upsampler={upsampler}", *tree(experiment), *REDUCED]
    whole, cut = RunFolder(tmp_path / "whole"), RunFolder(tmp_path / "cut")
    expected = train.run(configure(*said), whole)
    command = ["-m", "src.train", f"hydra.run.dir={cut.path}", *said, pausing(3)]
    process = started(*command, env=environment())
    wait_for(paused(cut.path, 3).exists)
    os.kill(process.pid, signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert not cut.finished()
    result = train.run(configure(*said, f"resume='{cut.checkpoints / 'last.ckpt'}'"), cut)
    assert result["metrics"] == expected["metrics"]
    weights = [torch.load(one.checkpoints / "last.ckpt", weights_only=True)["state_dict"] for one in (whole, cut)]
    assert all(torch.equal(value, weights[1][key]) for key, value in weights[0].items())
    _check_evaluation(cut, tmp_path / "evaluated", experiment)


def _check_evaluation(run: RunFolder, folder: Path, experiment: str) -> None:
    """All test images, whole, by the published metrics; the prediction files are those of a public script's input."""
    said = [f"ckpt='{run.checkpoints / 'last.ckpt'}'", "logger=none", "evaluation.save_predictions=true"]
    found = evaluate.run(configure(*said, name="evaluate"), RunFolder(folder))
    metrics = {"composition1k": ("sad", "mse", "grad", "conn"), "ade20k": ("miou", "biou", "macc", "aacc")}[experiment]
    assert set(metrics) <= set(found["metrics"])
    assert all(found["metrics"][key] == found["metrics"][key] for key in metrics)
    images = published_trees.FOREGROUNDS["test"] * published_trees.PER_FOREGROUND
    count = images if experiment == "composition1k" else published_trees.SCENES["validation"]
    assert len(list((folder / "predictions").glob("*.png"))) == count
    assert json.loads((folder / "result.json").read_text())["status"] == "finished"
