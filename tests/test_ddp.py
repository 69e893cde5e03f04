"""trainer=ddp: a run in two processes on a CPU is one run, and measures what one process measures."""

import csv
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pausing
import pytest
import torch.distributed as dist
from configuring import TINY as CONFIGURED
from configuring import configure
from processes import processes_of, python_module, started, wait_for
from wandb_server import clean_environment

from denseup.cli import evaluate
from denseup.cli import train as training
from denseup.engine import RunFolder
from denseup.engine.loggers.wandb_reader import find_runs, read_run
from denseup.engine.per_image import read_counts

# Three images for two processes: one is seen twice. Five steps an epoch: checkpoints lie in the middle of one.
TWO = ["trainer=ddp", "trainer.accelerator=cpu", "trainer.val_check_interval=2", "trainer.log_every_n_steps=1"]
TINY = ["data.crop_size=64", "data.image_size=64", "data.val_length=3", "data.batch_size=2", "data.train_length=20"]

pytestmark = pytest.mark.skipif(
    not dist.is_available() or not dist.is_gloo_available(), reason="torch has no gloo back end"
)


def command(*arguments: str) -> list[str]:
    flags = [argument for argument in arguments if argument == "-m"]  # which Hydra wants before all overrides
    return ["-m", "src.train", *flags, *TWO, *TINY, *(argument for argument in arguments if argument != "-m")]


def train(*arguments: str) -> subprocess.CompletedProcess[str]:
    return python_module(*command(*arguments)[1:], env=environment())


def environment() -> dict[str, str]:
    return clean_environment() | {"GLOO_SOCKET_IFNAME": "lo", "OMP_NUM_THREADS": "1"}


def result(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "result.json").read_text())


def images(folder: Path) -> list[dict[str, str]]:
    with (folder / "per_image.csv").open(newline="") as lines:
        return list(csv.DictReader(lines))


@pytest.fixture(scope="module", params=["segmentation", pytest.param("matting", marks=pytest.mark.slow)])
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a run, of matting as a job of a sweep.

    A2U's own down-sampling, for which the segmentation network has no place, gets no gradient.
    """
    path = tmp_path_factory.mktemp("ddp")
    swept = request.param == "matting"
    place = ["-m", f"hydra.sweep.dir={path}"] if swept else [f"hydra.run.dir={path}"]
    done = train(*place, f"task={request.param}", "upsampler=a2u", "trainer.max_steps=4", "logger=wandb")
    outputs = [file.read_text() for file in path.glob("*/output.log")]
    assert done.returncode == 0, "\n".join([done.stdout, done.stderr, *outputs])
    (file,) = path.glob("*/result.json" if swept else "result.json")
    tables = [*outputs, "" if swept else done.stdout]
    assert "".join(tables).count("best (step") == 1
    return file.parent


def test_two_processes_write_one_run(folder: Path) -> None:
    (file,) = find_runs(folder)
    run = read_run(file)
    assert (run.state, run.summary["last/step"]) == ("finished", 4)
    assert len(run.values("train/loss")) == 4
    with (folder / "metrics.csv").open() as lines:
        rows = list(csv.DictReader(lines))
    assert [int(row["step"]) for row in rows if row["train/loss"]] == [0, 1, 2, 3]
    assert sorted(path.name for path in (folder / "checkpoints").iterdir()) == ["best.ckpt", "last-1.ckpt", "last.ckpt"]
    assert sorted(path.name for path in (folder / "images").iterdir()) == ["val_000002.png", "val_000004.png"]


def test_one_process_measures_the_same(folder: Path, tmp_path: Path) -> None:
    """Every image counts once, though the processes see four of three."""
    cfg = configure(f"ckpt='{folder / 'checkpoints/best.ckpt'}'", "trainer.accelerator=cpu", name="evaluate")
    alone = evaluate.run(cfg, RunFolder(tmp_path))
    together = result(folder)
    best = {name: value for name, value in together["metrics"]["best"].items() if name != "step"}
    assert alone["metrics"] == pytest.approx(best, rel=1e-12)
    assert alone["baseline"] == pytest.approx(together["baseline"], rel=1e-6)
    assert [row for row in images(folder) if row.pop("evaluation") == "best" and row.pop("step")] == [
        row for row in images(tmp_path) if row.pop("evaluation") == "test"
    ]
    counted = [read_counts(path / "per_image_counts.npz") for path in (folder, tmp_path)]
    of_both, of_one = counted[0].get("best", {}), counted[1].get("test", {})
    assert of_both.keys() == of_one.keys()
    assert bool(of_both) is (result(folder)["task"] == "segmentation")
    assert all(np.array_equal(found, of_one[key]) for key, found in of_both.items())


def test_evaluation_is_one_process(folder: Path, tmp_path: Path) -> None:
    checkpoint = f"ckpt='{folder / 'checkpoints/best.ckpt'}'"
    cfg = configure(checkpoint, "trainer.accelerator=cpu", "trainer.devices=2", name="evaluate")
    with pytest.raises(ValueError, match=r"trainer\.devices is 2, expected 1"):
        evaluate.run(cfg, RunFolder(tmp_path))


def test_a_failure_in_both_processes_is_told_once(tmp_path: Path) -> None:
    options = ["task=matting", "upsampler=pixel_shuffle", "+upsampler.scale_factor=3", "logger=wandb"]
    done = train(f"hydra.run.dir={tmp_path}", *options)
    assert done.returncode == 1
    assert "PixelShuffle: output_size" in result(tmp_path)["error"]
    assert "PixelShuffle: output_size" in (tmp_path / "error.txt").read_text()
    (run,) = (read_run(file) for file in find_runs(tmp_path))
    assert run.exit_code == 1


def test_processes_share_the_effective_batch_and_take_it_in_parts(tmp_path: Path) -> None:
    """Two processes with two parts of a sample each learn what one process learns from all four at once."""
    same = ["task=matting", "upsampler=bilinear", *CONFIGURED["matting"], "trainer.max_steps=2", "logger=csv"]
    exact = ["trainer.precision=64-true", "recipe.effective_batch_size=4", "recipe.optimization.freeze_norms_after=0"]
    done = train(f"hydra.run.dir={tmp_path / 'two'}", *same, *exact, "data.batch_size=1")
    assert done.returncode == 0, done.stderr
    one = ["trainer=default", "trainer.accelerator=cpu", "data.batch_size=4", "trainer.val_check_interval=2"]
    alone = configure(*same, *exact, *TINY[:3], "data.train_length=20", *one)
    expected = training.run(alone, RunFolder(tmp_path / "one"))["metrics"]["last"]
    found = result(tmp_path / "two")["metrics"]["last"]
    assert found == pytest.approx(expected, rel=1e-6)


def test_batch_norms_cannot_be_synchronised_on_a_cpu(tmp_path: Path) -> None:
    """torch does it on GPUs only: said before anything is trained. What would be: `tests/tasks/test_norms.py`."""
    done = train(f"hydra.run.dir={tmp_path}", "task=matting", "trainer.sync_batchnorm=true", "trainer.max_steps=1")
    assert done.returncode == 1
    assert "torch synchronises batch norms on GPUs only" in result(tmp_path)["error"]


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_a_killed_run_resumes_to_the_same_numbers(tmp_path: Path) -> None:
    jobs = ["task=matting", "upsampler=nearest", "trainer.max_steps=12", "logger=csv"]
    assert train("-m", f"hydra.sweep.dir={tmp_path / 'whole'}", *jobs).returncode == 0
    cut = ["-m", f"hydra.sweep.dir={tmp_path / 'cut'}", *jobs]
    launcher = started(*command(*cut, pausing.pausing(5)), env=environment() | pausing.environment())
    wait_for(lambda: any(pausing.paused(run, 5).exists() for run in (tmp_path / "cut").glob("*nearest*")))
    (folder,) = (tmp_path / "cut").glob("*nearest*")
    both = processes_of(folder)
    assert len(both) == 2
    os.kill(both[0], signal.SIGKILL)
    assert launcher.wait() == 1
    wait_for(lambda: not processes_of(folder))  # the second dies with the first
    repeated = train(*cut)
    assert "nearest · seed 0: resume" in repeated.stdout
    (whole,) = (tmp_path / "whole").glob("*nearest*")
    assert result(folder)["metrics"] == result(whole)["metrics"]
    with (folder / "metrics.csv").open() as lines:
        assert [int(row["step"]) for row in csv.DictReader(lines) if row["train/loss"]] == list(range(12))
