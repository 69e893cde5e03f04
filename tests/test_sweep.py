"""A sweep whose jobs fail, are killed, or lose their launcher: nothing is lost, nothing is done twice."""

import csv
import importlib.util
import json
import os
import signal
import subprocess
import sys
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from configuring import configure
from hydra import compose, initialize_config_dir
from pausing import environment, paused, pausing
from processes import processes_of, python_module, started, wait_for
from rich.console import Console

from denseup.cli import train
from denseup.cli.places import CONF
from denseup.cli.sweep.jobs import run_name
from denseup.cli.sweep.table import print_table
from denseup.engine import RunFolder
from denseup.engine.state import lock_run

SHORT = ["logger=csv", "trainer=short", "data.crop_size=64", "trainer.limit_val_batches=1", "sweep.report=false"]


def command(folder: Path, *arguments: str) -> list[str]:
    flags = [argument for argument in arguments if argument.startswith("--")]  # Hydra wants them first
    words = [argument for argument in arguments if argument not in flags]
    return ["-m", "src.train", "-m", *flags, *SHORT, f"hydra.sweep.dir={folder}", *words]


def sweep(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return python_module(*command(folder, *arguments)[1:], env=environment())


def failing_in_its_first_step(folder: Path) -> str:
    """The flag for a choice `upsampler=by_3`, pixel shuffle that raises by 3 in networks that raise by 2."""
    (folder / "upsampler").mkdir(parents=True)
    (folder / "upsampler" / "by_3.yaml").write_text("name: pixel_shuffle\nscale_factor: 3\n")
    return f"--config-dir={folder}"


def results(folder: Path) -> dict[str, dict[str, Any]]:
    """result.json of every run, by task and upsampler."""
    found = [json.loads(file.read_text()) for file in folder.glob("*/result.json")]
    return {f"{result['task']}/{result['upsampler']}": result for result in found}


def test_a_failing_job_neither_stops_nor_hides_the_others(tmp_path: Path) -> None:
    jobs = ["task=matting", "upsampler=nearest,carafe", "++upsampler.kernel_size=4"]
    done = sweep(tmp_path, *jobs)
    assert done.returncode == 1, done.stderr
    # nearest takes no kernel_size, carafe wants an odd one: two errors, each kept and listed
    assert {result["status"] for result in results(tmp_path).values()} == {"failed"}
    assert done.stdout.count("failed: ") == 2
    assert "kernel_size is 4" in done.stdout
    assert len(list(tmp_path.glob("*/error.txt"))) == 2
    assert "Traceback" in next(tmp_path.glob("*carafe*/error.txt")).read_text()


def run_of(folder: Path, upsampler: str) -> Path | None:
    """The run folder of an upsampler, once there is one."""
    return next(folder.glob(f"*_{upsampler}_*"), None)


def wait_for_pause(folder: Path, upsampler: str, step: int) -> Path:
    """Wait until a run waits, and has written what it had to write before; its folder."""
    wait_for(lambda: (run := run_of(folder, upsampler)) and paused(run, step).exists())
    run = run_of(folder, upsampler)
    assert run is not None
    return run


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_killed_jobs_and_a_killed_launcher_lose_nothing(tmp_path: Path) -> None:
    flag = failing_in_its_first_step(tmp_path.with_name(f"{tmp_path.name}_conf"))
    jobs = [flag, "task=matting", "upsampler=by_3,bilinear,nearest,carafe", "trainer.max_steps=6", pausing(3)]
    launcher = started(*command(tmp_path, *jobs), env=environment())
    # the first job fails, the second is killed, the third dies with its launcher, the fourth has not begun
    (job,) = processes_of(wait_for_pause(tmp_path, "bilinear", 3))
    os.kill(job, signal.SIGKILL)
    nearest = wait_for_pause(tmp_path, "nearest", 3)
    launcher.kill()
    launcher.wait()
    wait_for(lambda: not processes_of(nearest))
    before = results(tmp_path)
    assert before["matting/pixel_shuffle"]["status"] == "failed"
    assert before["matting/bilinear"]["error"] == "killed by signal 9"
    assert before["matting/nearest"]["status"] == "running"
    assert set(before) == {f"matting/{name}" for name in ("pixel_shuffle", "bilinear", "nearest")}
    repeated = sweep(tmp_path, *jobs[:-1])
    assert repeated.returncode == 1, repeated.stdout + repeated.stderr
    after = results(tmp_path)
    assert {name for name, result in after.items() if result["status"] != "finished"} == {"matting/pixel_shuffle"}
    assert len(after) == 4
    assert repeated.stdout.count("failed: ") == 1
    assert all(f"{name} · seed 0: resume" in repeated.stdout for name in ("bilinear", "nearest"))
    for file in (path for path in tmp_path.glob("*/metrics.csv") if "pixel_shuffle" not in path.parent.name):
        steps = [int(row["step"]) for row in csv.DictReader(file.open()) if row["train/loss"]]
        assert steps == list(range(6)), file
    third = sweep(tmp_path, "task=matting", "upsampler=bilinear,nearest,carafe", *jobs[3:-1], "sweep.report=true")
    assert third.stdout.count("skipped (") == 3
    assert f"report: {tmp_path}/report/report.html" in third.stdout
    assert "3 of 4 runs count" in (tmp_path / "report/report.md").read_text()
    assert results(tmp_path) == after


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_a_resumed_run_ends_where_an_uninterrupted_one_does(tmp_path: Path) -> None:
    """Killed, gone on, ended by Ctrl-C and gone on, in the middle of an epoch: the same numbers to the last digit."""
    jobs = ["task=matting", "upsampler=nearest", "trainer.max_steps=8"]
    whole = train.run(configure(*SHORT, *jobs), RunFolder(tmp_path / "whole"))
    cut = tmp_path / "cut"
    for step, end in ((3, signal.SIGKILL), (5, signal.SIGINT)):
        launcher = started(*command(cut, *jobs, pausing(3, 5)), env=environment())
        (job,) = processes_of(wait_for_pause(cut, "nearest", step))
        os.kill(job, end)
        assert launcher.wait() == 1
    last = sweep(cut, *jobs)
    assert "resume" in last.stdout
    (resumed,) = results(cut).values()
    assert resumed["steps"] == whole["steps"] == 8
    assert resumed["metrics"] == whole["metrics"]


@pytest.mark.parametrize("launcher", ["submitit_local", "ray"])  # joblib: test_sweep_wandb.py
def test_launchers(launcher: str, tmp_path: Path) -> None:
    plugin = launcher.partition("_")[0]
    if importlib.util.find_spec(f"hydra_plugins.hydra_{plugin}_launcher") is None:
        pytest.skip(f"the plugin is not installed: pip install '.[{plugin}]'")
    tiny = ["upsampler=nearest", "trainer.max_steps=2", "data.image_size=64", "data.val_length=1"]
    done = sweep(tmp_path, "task=matting,segmentation", f"launcher={launcher}", *tiny)
    assert done.returncode == 0, done.stdout + done.stderr
    assert {result["status"] for result in results(tmp_path).values()} == {"finished"}
    assert set(results(tmp_path)) == {"matting/nearest", "segmentation/nearest"}
    assert "nearest" in done.stdout


def hydra_config(*overrides: str) -> Any:
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return compose("train", overrides=list(overrides), return_hydra_config=True).hydra


def test_slurm_is_configured() -> None:
    pytest.importorskip("hydra_plugins.hydra_submitit_launcher")
    launcher = hydra_config("launcher=submitit_slurm", "hydra.launcher.partition=gpu").launcher
    assert launcher._target_.endswith("SlurmLauncher")
    assert launcher.partition == "gpu"


@pytest.mark.parametrize(
    ("name", "options"),
    [
        (
            "demo",
            {
                "task": "segmentation,matting",
                "upsampler": "nearest,bilinear,carafe,indexnet,a2u,fade,fade_lite",
                "seed": "0,1,2,3,4",
            },
        ),
        ("all", {"task": "matting,segmentation", "upsampler": "glob(*,exclude=naf)", "seed": "0,1,2"}),
        ("frozen", {"upsampler": "glob(*,exclude=naf)", "seed": "0,1,2,3,4"}),
        ("tuned", {"upsampler": "glob(*,exclude=naf)", "seed": "0,1,2,3,4"}),
    ],
)
def test_the_ready_sweeps_name_their_runs(name: str, options: dict[str, str]) -> None:
    params = hydra_config(f"sweep={name}").sweeper.params
    assert params == options


def test_the_closing_table_tells_jobs_apart_that_differ_in_settings(tmp_path: Path) -> None:
    rates = {"0.0022505863330860372": "0.002251", "0.01": "0.01"}
    entries = []
    for rate in rates:
        folder = RunFolder(tmp_path / rate)
        metrics = {"best": {"sad": 1.5}}
        folder.write_result({"status": "finished", "task": "matting", "monitor": "sad", "metrics": metrics})
        overrides = ["task=matting", "seed=0", "logger=csv", f"recipe.optimization.lr={rate}"]
        entries.append({"folder": str(folder.path), "overrides": overrides, "status": "finished"})
    for shown, expected in ((entries, True), (entries[:1], False)):
        console = Console(file=StringIO(), width=200)
        assert print_table(shown, console) == 0
        text = console.file.getvalue()  # type: ignore[attr-defined]
        assert ("settings" in text) is expected
        assert all((f"lr={rate} " in text) is expected for rate in rates.values())
        assert "logger" not in text


def test_brackets_in_the_closing_table_are_text(tmp_path: Path) -> None:
    entries = []
    for value in ("[all]", "[/x]"):
        folder = RunFolder(tmp_path / f"run {value[1:-1].strip('/')} [red]")
        folder.write_result(
            {"status": "finished", "task": "matting", "monitor": "sad", "metrics": {"best": {"sad": 1}}}
        )
        entries.append({"folder": str(folder.path), "overrides": [f"model.parts={value}"], "status": "finished"})
    console = Console(file=StringIO(), width=400)
    assert print_table(entries, console) == 0
    text = console.file.getvalue()  # type: ignore[attr-defined]
    for words in ("parts=[all]", "parts=[/x]", "run all [red]", "run x [red]"):
        assert words in text


def test_the_run_of_another_living_sweep_is_left_alone(tmp_path: Path) -> None:
    jobs = ["task=matting", "upsampler=nearest"]
    folder = RunFolder(tmp_path / run_name(_root_=configure(*SHORT, *jobs)))
    folder.write_result({"status": "running", "seed": 0})
    before = folder.result.read_text()
    with lock_run(folder):
        for rerun in ("null", "all"):
            done = sweep(tmp_path, *jobs, f"sweep.rerun={rerun}")
            assert done.returncode == 1
            assert f"another process is running in {folder.path}" in done.stdout
    assert folder.result.read_text() == before
    assert not folder.error.exists()
