"""A sweep whose jobs fail, are killed, or lose their launcher: nothing is lost, nothing is done twice."""

import csv
import importlib.util
import json
import os
import signal
import subprocess
import sys
import time
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from denseup.runs import RunFolder
from denseup.runs.state import alone_in
from src.sweep_table import print_table

ROOT = Path(__file__).parent.parent
SHORT = ["logger=csv", "trainer=short", "data.crop_size=64", "trainer.limit_val_batches=1", "sweep.report=false"]


def command(folder: Path, *arguments: str) -> list[str]:
    return [sys.executable, "-m", "src.train", "-m", *SHORT, f"hydra.sweep.dir={folder}", *arguments]


def sweep(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command(folder, *arguments), capture_output=True, text=True, cwd=ROOT)


def results(folder: Path) -> dict[str, dict[str, Any]]:
    """result.json of every run, by task and upsampler."""
    found = [json.loads(file.read_text()) for file in folder.glob("*/result.json")]
    return {f"{result['task']}/{result['upsampler']}": result for result in found}


def test_a_failing_job_neither_stops_nor_hides_the_others(tmp_path: Path) -> None:
    jobs = ["task=matting", "upsampler=bilinear,carafe,nearest", "++upsampler.kernel_size=4"]
    done = sweep(tmp_path, *jobs)
    assert done.returncode == 1, done.stderr
    # nearest and bilinear take no kernel_size, carafe wants an odd one: three errors, each kept and listed
    assert {result["status"] for result in results(tmp_path).values()} == {"failed"}
    assert done.stdout.count("failed: ") == 3
    assert "kernel_size is 4" in done.stdout
    assert len(list(tmp_path.glob("*/error.txt"))) == 3
    assert "Traceback" in next(tmp_path.glob("*carafe*/error.txt")).read_text()


def wait_for(condition: Any, seconds: float = 120) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


def heed_ctrl_c() -> None:
    """What a shell starts in the background inherits that SIGINT is ignored: tests run there too."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def running_job(folder: Path) -> int | None:
    """Process id of the job that trains in `folder` now."""
    for process in Path("/proc").glob("[0-9]*"):
        try:
            words = (process / "cmdline").read_bytes().decode().split("\0")
        except OSError:
            continue
        if any(word.startswith(f"hydra.run.dir='{folder.resolve()}") for word in words):
            return int(process.name)
    return None


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_killed_jobs_and_a_killed_launcher_lose_nothing(tmp_path: Path) -> None:
    # the maps of a crop of 72 pixels are not halved exactly: pixel shuffle fails in the middle of its training step
    jobs = ["task=matting", "upsampler=pixel_shuffle,bilinear,nearest,carafe"]
    jobs += ["trainer.max_steps=8", "data.crop_size=72"]
    launcher = subprocess.Popen(
        command(tmp_path, *jobs), cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    # the first job fails, the second is killed, the third dies with its launcher, once it has a checkpoint
    wait_for(lambda: list(tmp_path.glob("*bilinear*/result.json")) and running_job(tmp_path))
    os.kill(running_job(tmp_path) or 0, signal.SIGKILL)
    wait_for(lambda: list(tmp_path.glob("*nearest*/checkpoints/last.ckpt")))
    launcher.kill()
    launcher.wait()
    wait_for(lambda: running_job(tmp_path) is None)
    before = results(tmp_path)
    assert before["matting/pixel_shuffle"]["status"] == "failed"
    assert before["matting/bilinear"]["error"] == "killed by signal 9"
    assert before["matting/nearest"]["status"] in ("running", "finished")
    repeated = sweep(tmp_path, *jobs)
    assert repeated.returncode == 1, repeated.stdout + repeated.stderr
    after = results(tmp_path)
    assert {name for name, result in after.items() if result["status"] != "finished"} == {"matting/pixel_shuffle"}
    assert repeated.stdout.count("failed: ") == 1
    assert all(after[name] == result for name, result in before.items() if result["status"] == "finished")
    assert "nearest · seed 0: resume" in repeated.stdout or before["matting/nearest"]["status"] == "finished"
    for file in (path for path in tmp_path.glob("*/metrics.csv") if "pixel_shuffle" not in path.parent.name):
        steps = [int(row["step"]) for row in csv.DictReader(file.open()) if row["train/loss"]]
        assert steps == list(range(8)), file
    third = sweep(tmp_path, *jobs, "sweep.report=true")
    assert third.stdout.count("skipped (") == 3
    assert f"report: {tmp_path}/report/report.html" in third.stdout
    assert "3 of 4 runs count" in (tmp_path / "report/report.md").read_text()
    assert results(tmp_path) == after


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGINT], ids=["kill", "ctrl-c"])
def test_a_resumed_run_ends_where_an_uninterrupted_one_does(end: signal.Signals, tmp_path: Path) -> None:
    """Ended after the first checkpoint and resumed in the middle of an epoch: the same numbers to the last digit."""
    jobs = ["task=matting", "upsampler=nearest", "trainer.max_steps=12"]
    assert sweep(tmp_path / "whole", *jobs).returncode == 0
    launcher = subprocess.Popen(
        command(tmp_path / "cut", *jobs),
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        preexec_fn=heed_ctrl_c,
    )
    wait_for(lambda: list((tmp_path / "cut").glob("*/checkpoints/last.ckpt")))
    job = running_job(next((tmp_path / "cut").glob("*nearest*")))
    os.kill(job or 0, end)
    assert launcher.wait() == 1
    repeated = sweep(tmp_path / "cut", *jobs)
    assert "resume" in repeated.stdout
    (whole,), (cut,) = results(tmp_path / "whole").values(), results(tmp_path / "cut").values()
    assert cut["steps"] == whole["steps"] == 12
    assert cut["metrics"] == whole["metrics"]


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


def test_slurm_is_configured() -> None:
    pytest.importorskip("hydra_plugins.hydra_submitit_launcher")
    arguments = ["-m", "src.train", "--cfg", "hydra", "launcher=submitit_slurm", "hydra.launcher.partition=gpu"]
    done = subprocess.run([sys.executable, *arguments], capture_output=True, text=True, cwd=ROOT)
    assert "SlurmLauncher" in done.stdout, done.stderr
    assert "partition: gpu" in done.stdout


def test_the_ready_sweeps_name_their_runs(tmp_path: Path) -> None:
    """The six published upsamplers on both tasks; all of them, with three seeds."""
    for name, options in {
        "demo": "upsampler: bilinear,carafe,indexnet,a2u,fade,fade_lite",
        "all": "seed: 0,1,2",
    }.items():
        arguments = ["-m", "src.train", "--cfg", "hydra", f"sweep={name}"]
        done = subprocess.run([sys.executable, *arguments], capture_output=True, text=True, cwd=ROOT)
        assert "task: matting,segmentation" in done.stdout, done.stderr
        assert options in done.stdout


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
    jobs = ["task=matting", "upsampler=nearest", "trainer.max_steps=2"]
    assert sweep(tmp_path, *jobs).returncode == 0
    (result,) = tmp_path.glob("*/result.json")
    before = result.read_text()
    with alone_in(RunFolder(result.parent)):
        for rerun in ("null", "all"):
            done = sweep(tmp_path, *jobs, f"sweep.rerun={rerun}")
            assert done.returncode == 1
            assert "another process is running in" in done.stdout
    assert result.read_text() == before
    assert not (result.parent / "error.txt").exists()
