"""What a killed run had logged before its checkpoint is there, once; what it logged after it comes again."""

import csv
import os
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from processes import python, wait_for
from reliability.failpoints import OPTION, VARIABLE
from wandb_server import clean_environment

from denseup.engine.loggers.context import CheckpointedLogger, RunContext
from denseup.engine.loggers.csv_file import RowsLogger, csv_logger
from denseup.engine.loggers.wandb_reader import find_runs, read_run


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "metrics.csv").open(newline="") as lines:
        return list(csv.DictReader(lines))


def log(logger: RowsLogger, *steps: int, key: str = "loss") -> RowsLogger:
    for step in steps:
        logger.log_metrics({key: step / 4}, step=step)
    logger.save()
    return logger


def test_rows_that_the_checkpoint_counts_stay_and_the_others_go(tmp_path: Path) -> None:
    """Also where two rows are of one step: of accumulated batches, an evaluation, the averaged weights."""
    logger = log(csv_logger(RunContext(tmp_path)), 0, 1)
    log(logger, 1, key="sad")
    assert isinstance(logger, CheckpointedLogger)
    told = logger.logged()
    log(logger, 1, 2)
    again = csv_logger(RunContext(tmp_path, resumed_at=1, logged=told))
    assert [(row["step"], row["loss"], row["sad"]) for row in rows(tmp_path)] == [
        ("0", "0.0", ""),
        ("1", "0.25", ""),
        ("1", "", "0.25"),
    ]
    log(again, 1, 2)
    assert [row["step"] for row in rows(tmp_path)] == ["0", "1", "1", "1", "2"]
    assert again.logged() == {"csv_rows": 5}


def test_checkpoints_of_earlier_versions_count_none(tmp_path: Path) -> None:
    log(csv_logger(RunContext(tmp_path)), 0, 1, 2)
    log(csv_logger(RunContext(tmp_path, resumed_at=2)), 2)
    assert [row["step"] for row in rows(tmp_path)] == ["0", "1", "2"]


def test_a_run_from_nothing_begins_a_file(tmp_path: Path) -> None:
    log(csv_logger(RunContext(tmp_path)), 0, 1, 2)
    log(csv_logger(RunContext(tmp_path)), 0)
    assert [row["step"] for row in rows(tmp_path)] == ["0"]


@pytest.mark.parametrize("left", ["step,lo", "loss,step\n", "loss,step\n0.0,0\n0.25,", "loss,step\n0.0,0\n0.25,1"])
def test_half_a_line_is_no_row(left: str, tmp_path: Path) -> None:
    (tmp_path / "metrics.csv").write_text(left)
    logger = csv_logger(RunContext(tmp_path, resumed_at=1, logged={"csv_rows": left.count("\n0.0,0\n")}))
    log(logger, 1)
    found = [row["step"] for row in rows(tmp_path)]
    assert found == (["0", "1"] if "0.0,0" in left else ["1"])


def test_the_file_is_whole_while_a_new_column_is_added(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a process that dies in the middle of it leaves: all rows."""
    from denseup.engine.loggers import csv_file

    logger = log(csv_logger(RunContext(tmp_path)), 0, 1)

    def dies(*_: Any) -> None:
        raise SystemExit

    monkeypatch.setattr(csv_file, "write_atomic", dies)
    with pytest.raises(SystemExit):
        log(logger, 1, key="sad")
    assert [row["step"] for row in rows(tmp_path)] == ["0", "1"]


def test_wandb_gets_again_what_its_client_may_have_lost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_MODE", "offline")
    from denseup.engine.loggers.adapters import ADAPTERS
    from denseup.engine.loggers.wandb_run import wandb_logger

    last = [{"train/loss": 0.1 + 0.2, "epoch": 1.0}, 7]
    logger = wandb_logger(RunContext(tmp_path, id="x", resumed_at=8, logged={"wandb_recent": [last]}))
    logger.log_metrics({"train/loss": 0.25}, step=8)
    logger.log_image("picture", [np.zeros((2, 2, 3), np.uint8)], step=8)  # which no checkpoint can hold
    assert logger.logged() == {"wandb_recent": [last, [{"train/loss": 0.25}, 8]]}  # type: ignore[attr-defined]
    ADAPTERS.of(logger).finish(0)
    (file,) = find_runs(tmp_path)
    wait_for(lambda: read_run(file).exit_code is not None)  # the client's service writes on after the call
    history = [row for row in read_run(file).history if "train/loss" in row]
    assert [(row["trainer/global_step"], row["train/loss"]) for row in history] == [
        (7, 0.1 + 0.2),
        (8, 0.25),
    ]


@pytest.mark.slow
def test_wandb_misses_no_step_and_shows_none_twice(tmp_path: Path) -> None:
    """Killed twice right after a checkpoint, when the client has not written yet."""
    said = ["data.train_length=10", "callbacks.checkpoint.every_minutes=0", "trainer=short", "trainer.max_steps=7"]
    said += ["task=matting", "upsampler=nearest", "data.crop_size=64", "data.batch_size=2", "logger=wandb", OPTION]
    environment = clean_environment() | {"OMP_NUM_THREADS": "1"}  # none of the tests' own W&B service
    environment["PYTHONPATH"] = os.pathsep.join([os.environ.get("PYTHONPATH", ""), "tests", "."])
    ends = []
    for point in ("a checkpoint kept*4", "a checkpoint kept*5", ""):
        arguments = ["-m", "src.train", f"hydra.run.dir={tmp_path}", *said]
        ends.append(python(*arguments, env=environment | {VARIABLE: point}).returncode)
    assert ends == [-signal.SIGKILL, -signal.SIGKILL, 0]
    wait_for(lambda: any(read_run(file).exit_code is not None for file in find_runs(tmp_path)))
    parts = [read_run(file) for file in find_runs(tmp_path)]
    assert len({part.id for part in parts}) == 1
    for key in ("train/loss", "val/sad"):
        values: dict[int, set[float]] = {}
        for row in (row for part in parts for row in part.history if key in row):
            values.setdefault(int(row["trainer/global_step"]), set()).add(row[key])
        expected = {int(row["step"]): {float(row[key])} for row in rows(tmp_path) if row[key]}
        assert values == expected
    assert (parts[-1].state, parts[-1].summary["last/step"]) == ("finished", 7)
