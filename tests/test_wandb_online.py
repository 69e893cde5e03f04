"""Runs logged over HTTP to a W&B server of our own: what arrives is what the run folders hold."""

import csv
import json
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from omegaconf import OmegaConf
from processes import python, python_module
from wandb_server import ReceivedRun, WandbServer, client_environment, wandb_server

from denseup.engine.loggers.context import run_id
from denseup.engine.loggers.wandb_dashboard import offline_runs
from denseup.engine.loggers.wandb_run import STEP


@pytest.fixture(scope="module")
def server() -> Iterator[WandbServer]:
    with wandb_server() as running:
        yield running


def client(server: WandbServer, *command: str, **environment: str) -> str:
    """Run a Python process that logs to the server; its output."""
    env = client_environment(server) | environment
    done = python_module(*command[1:], env=env) if command[0] == "-m" else python(*command, env=env)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def sweep(server: WandbServer, tmp_path_factory: pytest.TempPathFactory) -> dict[Path, ReceivedRun]:
    """What arrived of each run of a sweep over both tasks, by the run's folder."""
    root = tmp_path_factory.mktemp("sweep")
    tiny = ["trainer=short", "data.crop_size=64", "data.image_size=96", "trainer.limit_val_batches=1"]
    jobs = ["task=matting,segmentation", "upsampler=bilinear", "sweep.name=tiny", f"hydra.sweep.dir={root}"]
    client(server, "-m", "src.train", "-m", "logger=wandb", "sweep.report=false", *tiny, *jobs)
    folders = sorted(file.parent for file in root.glob("*/result.json"))
    return {folder: server.runs[run_id("train", result(folder)["config_hash"], str(folder))] for folder in folders}


def result(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "result.json").read_text())


def test_the_server_knew_every_question(server: WandbServer, sweep: dict[Path, ReceivedRun]) -> None:
    assert server.unknown == []
    assert {"Viewer", "UpsertBucket", "CreateRunFiles", "POST /files", "PUT /storage"} <= set(server.asked)


def test_runs_are_named_and_grouped(sweep: dict[Path, ReceivedRun]) -> None:
    assert [result(folder)["task"] for folder in sweep] == ["matting", "segmentation"]
    for folder, run in sweep.items():
        task = result(folder)["task"]
        assert (run.project, run.group, run.job_type) == ("denseup", "tiny", "train")
        assert (run.name, run.tags) == (f"{task}-bilinear-seed0", [task, "bilinear"])
        assert run.exit_code == 0


def test_config_and_summary_equal_the_run_folders(sweep: dict[Path, ReceivedRun]) -> None:
    for folder, run in sweep.items():
        expected = result(folder)
        config = OmegaConf.to_container(OmegaConf.load(folder / "config.yaml"))
        assert run.config == {**config, "params": expected["params"]}
        parts = {**expected["metrics"], "baseline": expected["baseline"]}
        for kind, values in parts.items():
            assert {name: run.summary[f"{kind}/{name}"] for name in values} == values
        assert run.summary["seconds"] == expected["seconds"]


def points(rows: list[dict[str, Any]], step: str) -> set[tuple[int, str, float]]:
    """Every loss and metric with its step."""
    return {
        (int(row[step]), key, float(value))
        for row in rows
        for key, value in row.items()
        if key.startswith(("train/", "val/")) and key != "val/predictions" and value not in ("", None)
    }


def test_history_equals_metrics_csv(sweep: dict[Path, ReceivedRun]) -> None:
    for folder, run in sweep.items():
        with (folder / "metrics.csv").open() as file:
            expected = points(list(csv.DictReader(file)), "step")
        assert len(expected) > 8
        assert points(run.history, STEP) == expected


def rows_of(run: ReceivedRun, name: str) -> list[dict[str, Any]]:
    table = json.loads(run.files[run.summary[name]["path"]])
    return [dict(zip(table["columns"], values, strict=True)) for values in table["data"]]


def test_pictures_and_tables(sweep: dict[Path, ReceivedRun]) -> None:
    for folder, run in sweep.items():
        sent = [row for row in run.history if "val/predictions" in row]
        assert [row[STEP] for row in sent] == [2, 4]
        for row in sent:
            (name,) = row["val/predictions"]["filenames"]
            picture = cv2.imdecode(np.frombuffer(run.files[name], np.uint8), cv2.IMREAD_COLOR)
            assert np.array_equal(picture, cv2.imread(str(folder / f"images/val_{row[STEP]:06d}.png")))
        evaluations = rows_of(run, "evaluations")
        assert [row["step"] for row in evaluations] == [2, 4]
        assert evaluations[-1] == result(folder)["metrics"]["last"]
        with (folder / "per_image.csv").open(newline="") as file:
            images = list(csv.DictReader(file))
        sent_images = [{key: str(value) for key, value in row.items()} for row in rows_of(run, "per_image")]
        assert sent_images == images


RESUME = """
    import sys
    import time
    from pathlib import Path
    from denseup.engine.loggers.context import RunContext, run_id
    from denseup.engine.loggers.making import finish_loggers, log_summary, make_loggers

    folder = Path(sys.argv[1])
    target = "denseup.engine.loggers.wandb_run.wandb_logger"
    chosen = {"wandb": {"_target_": target, "project": "p", "group": "g"}}
    for steps, resumed_at, exit_code in ((range(4), None, 1), (range(3, 6), 3, 0)):
        run = RunContext(folder, {"x": 1}, "train", run_id("train", "hash", str(folder)), resumed_at)
        loggers = make_loggers(run, chosen)
        for step in steps:
            loggers[0].log_metrics({"train/loss": step / 2}, step)
        log_summary(loggers, {"best/sad": steps[-1]})
        finish_loggers(loggers, exit_code)
        time.sleep(1)  # offline parts are named by the second
"""


def check_resumed(run: ReceivedRun) -> None:
    assert [row[STEP] for row in run.history] == [0, 1, 2, 3, 3, 4, 5]
    assert [row["_step"] for row in run.history] == list(range(7))
    assert (run.exit_code, run.group, run.job_type, run.config) == (0, "g", "train", {"x": 1})
    assert run.summary["best/sad"] == 5


def test_a_resumed_run_goes_on_as_the_same_run(tmp_path: Path) -> None:
    with wandb_server() as server:
        client(server, "-c", textwrap.dedent(RESUME), str(tmp_path))
        assert server.asked["RunResumeStatus"] == 1
        assert server.unknown == []
    check_resumed(server.runs[run_id("train", "hash", str(tmp_path))])


def test_the_parts_of_a_resumed_offline_run_are_synced_as_one_run(tmp_path: Path) -> None:
    with wandb_server() as server:
        client(server, "-c", textwrap.dedent(RESUME), str(tmp_path), WANDB_MODE="offline")
        assert not server.asked
        parts = sorted(str(path) for path in (tmp_path / "wandb").glob("offline-run-*"))
        assert [[str(part) for part in run] for run in offline_runs([tmp_path])] == [parts]
        assert len(parts) == 2
        client(server, "-m", "wandb", "sync", *parts)
        assert server.unknown == []
    assert offline_runs([tmp_path]) == []  # noted down as uploaded
    check_resumed(server.runs[run_id("train", "hash", str(tmp_path))])
