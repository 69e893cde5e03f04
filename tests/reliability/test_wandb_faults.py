"""A W&B server that can't be reached, refuses or hangs up: the run ends well, and `wandb sync` brings it there."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from processes import python_module
from reliability.faulty import SMALL
from wandb_server import WandbServer, clean_environment, client_environment, wandb_server

from denseup.engine.loggers.context import run_id
from denseup.engine.loggers.wandb_dashboard import offline_runs
from denseup.engine.loggers.wandb_reader import find_runs

WAITS = {"WANDB_INIT_TIMEOUT": "3", "WANDB_FINISH_TIMEOUT": "3"}
"""Seconds after which a server is given up: what is tested is what happens then, however slow the machine is."""

UPLOAD = "wandb sync --include-online"
"""For a run that was begun online, which the client leaves out otherwise."""


@pytest.fixture
def server() -> Iterator[WandbServer]:
    with wandb_server() as running:
        yield running


def train(folder: Path, environment: dict[str, str]) -> str:
    """What a training says that logs to W&B; it has to end well."""
    words = [word for word in SMALL if not word.startswith("logger=")]
    done = python_module("src.train", *words, "logger=wandb", f"hydra.run.dir={folder}", env=environment)
    assert done.returncode == 0, done.stdout + done.stderr
    assert json.loads((folder / "result.json").read_text())["status"] == "finished"
    assert len((folder / "metrics.csv").read_text().splitlines()) > 4
    return done.stdout + done.stderr


def check_arrives(folder: Path, server: WandbServer, command: str) -> None:
    """The command that the run has named brings what lies in its folder there, and that is the whole run."""
    parts = [str(file.parent) for file in find_runs(folder)]
    done = python_module(*command.split(), *parts, env=client_environment(server))
    assert done.returncode == 0, done.stdout + done.stderr
    config_hash = json.loads((folder / "result.json").read_text())["config_hash"]
    run = server.runs[run_id("train", config_hash, str(folder.resolve()))]
    assert sum("train/loss" in row for row in run.history) == 4
    assert run.summary["best/step"] in (2, 4)


@pytest.mark.slow
def test_a_server_that_cannot_be_reached(tmp_path: Path, server: WandbServer) -> None:
    unreachable = client_environment(server) | {"WANDB_BASE_URL": "http://127.0.0.1:9"} | WAITS
    said = train(tmp_path / "run", unreachable)
    assert said.count("W&B could not begin") == 1
    assert "logging offline" in said
    assert "upload with: wandb sync " in said
    assert len(offline_runs([tmp_path / "run"])) == 1
    check_arrives(tmp_path / "run", server, "wandb sync")


@pytest.mark.slow
@pytest.mark.parametrize("fault", ["500", "hang up", "silence"])
def test_a_server_that_fails_in_the_middle(fault: str, tmp_path: Path, server: WandbServer) -> None:
    server.fault = fault
    said = train(tmp_path / "run", client_environment(server) | WAITS)
    assert said.count(f"W&B: not everything has arrived; upload with: {UPLOAD} {tmp_path / 'run'}/wandb/run-") == 1
    assert "Traceback" not in said
    server.fault = None
    check_arrives(tmp_path / "run", server, UPLOAD)


@pytest.mark.slow
def test_a_folder_for_wandb_that_takes_nothing(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "wandb").touch()  # where its folder would be
    train(tmp_path / "run", clean_environment() | {"WANDB_MODE": "offline"})
