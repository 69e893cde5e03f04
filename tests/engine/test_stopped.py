"""A run that diverged is no result, and one that has finished stays finished whatever comes after it."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from configuring import tiny_run
from pytorch_lightning.loggers import CSVLogger
from torch import Tensor

from denseup.cli import train
from denseup.cli.config import RunError, plain, record_failure, run_info, user_errors
from denseup.cli.sweep import jobs as sweep
from denseup.cli.sweep.table import print_table
from denseup.engine import RunFolder, training
from denseup.engine.state import read_result, state
from denseup.engine.summary import print_summary
from denseup.reporting.loading import read_run
from denseup.tasks import MattingTask, SegmentationTask
from denseup.tasks.divergence import DivergedError


def run(folder: RunFolder, *overrides: str, task: str = "matting") -> dict[str, Any]:
    """As `main` runs it."""
    cfg = tiny_run(*overrides, task=task)
    with user_errors(folder, cfg):
        return train.run(cfg, folder)
    raise AssertionError("not reached")


def assert_failed(folder: RunFolder, words: str) -> None:
    result = read_result(folder)
    assert (result["status"], "metrics" in result) == ("failed", False)
    assert words in result["error"]
    assert (read_run(folder.path).status, read_run(folder.path).finished) == ("failed", False)


def test_a_diverged_run_fails_and_names_step_samples_and_module(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    words = r"step 2: the loss is nan; samples: \S+, \S+; .*first module with a non-finite output: network\.\S+ \("
    with pytest.raises(RunError, match=words):
        run(folder, "recipe.optimization.lr=1e12")
    assert_failed(folder, "DivergedError: step 2: the loss is nan")
    assert not list(folder.checkpoints.glob("*"))


@pytest.mark.parametrize("task", ["matting", "segmentation"])
def test_weights_broken_by_the_last_step_are_no_result(task: str, tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    with pytest.raises(RunError, match=r"after step 1: the (weights are|prediction is) not finite"):
        run(folder, "recipe.optimization.lr=1e30", "trainer.max_steps=1", task=task)
    assert_failed(folder, "no checkpoint was kept")


def test_the_last_good_checkpoints_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    loss = MattingTask.loss

    def fail(self: MattingTask, batch: dict[str, Any]) -> Tensor:
        return loss(self, batch) * (float("nan") if self.global_step == 3 else 1)

    monkeypatch.setattr(MattingTask, "loss", fail)
    folder = RunFolder(tmp_path)
    with pytest.raises(RunError, match=r"step 4: the loss is nan; .*up to the evaluation at step 2"):
        run(folder)
    for name in ("best.ckpt", "last.ckpt"):
        kept = torch.load(folder.checkpoints / name, weights_only=True)
        assert kept["global_step"] == 2
        assert all(weight.isfinite().all() for weight in kept["state_dict"].values())
    assert_failed(folder, "DivergedError")
    entry = {"folder": str(tmp_path), "overrides": [], "status": "failed"}
    assert print_table([entry]) == 1


def without_unknown(self: MattingTask, prediction: Tensor, batch: dict[str, Any]) -> None:
    known = torch.where(batch["trimap"] == 128, torch.zeros_like(batch["trimap"]), batch["trimap"])
    update(self, prediction, {**batch, "trimap": known})


def void_alone(self: SegmentationTask, prediction: Tensor, batch: dict[str, Any]) -> None:
    self.metrics.update(prediction, torch.full_like(batch["label"], 255))


update = MattingTask.update_metrics


@pytest.mark.parametrize(
    ("task", "replacement", "best"), [("matting", without_unknown, 0.0), ("segmentation", void_alone, None)]
)
def test_nothing_to_measure_is_no_failure(
    task: str, replacement: Any, best: float | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    owner = MattingTask if task == "matting" else SegmentationTask
    monkeypatch.setattr(owner, "update_metrics", replacement)
    folder = RunFolder(tmp_path)
    run(folder, task=task)
    result = read_result(folder)
    assert result["status"] == "finished"
    assert result["metrics"]["best"][result["monitor"]] == best
    assert sweep.monitored(folder) == best
    assert read_run(tmp_path).finished
    assert print_table([{"folder": str(tmp_path), "overrides": [], "status": "finished"}]) == 0


@pytest.mark.parametrize("broken", ["summary", "logger", "table"])
def test_what_comes_after_the_result_takes_nothing_back(
    broken: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*arguments: Any) -> None:
        raise RuntimeError("the disk is full")

    owner, name = {
        "summary": (training, "print_summary"),
        "logger": (CSVLogger, "finalize"),
        "table": (training, "log_table"),
    }[broken]
    monkeypatch.setattr(owner, name, fail)
    folder = RunFolder(tmp_path)
    run(folder, "trainer.max_steps=1")
    assert read_result(folder)["status"] == "finished"
    assert state(folder, plain(tiny_run("trainer.max_steps=1"))) == "finished"
    assert "failed, which changes nothing in the result: RuntimeError: the disk is full" in capsys.readouterr().err


def test_a_finished_record_is_never_written_over(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    folder.write_result({"status": "finished", "metrics": {}})
    record_failure(folder, KeyboardInterrupt(), None)
    assert json.loads(folder.result.read_text())["status"] == "finished"
    folder.result.write_text("{ broken")
    record_failure(folder, ValueError("width is odd"), None)
    assert read_result(folder)["status"] == "failed"


def test_a_wrong_sweep_leaves_finished_runs_alone_and_lists_the_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cfg = tiny_run("sweep.rerun=some")
    folder = RunFolder(tmp_path)
    folder.write_result({**run_info(cfg).describe(), "status": "finished"})
    noted: list[dict[str, Any]] = []
    overrides = SimpleNamespace(overrides=SimpleNamespace(task=[]))
    monkeypatch.setattr(sweep, "HydraConfig", SimpleNamespace(get=lambda: overrides))
    monkeypatch.setattr(sweep, "_note", noted.append)
    assert sweep.run_job(cfg, folder) is None
    assert read_result(folder)["status"] == "finished"
    assert noted[0]["status"] == "failed"
    assert "sweep.rerun is 'some', valid: null, failed, all" in noted[0]["error"]


def test_a_summary_of_undefined_values_can_be_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    task = MattingTask(torch.nn.Conv2d(4, 1, 1))
    for best, trivial in ((0.0, 0.0), (float("nan"), 1.0), (None, None), (1.0, float("nan"))):
        values = {"step": 4, "sad": best, "mse": None}
        result = {"task": "matting", "upsampler": "fade", "seed": 0, "monitor": "sad", "mode": "min"}
        result |= {"metrics": {"best": values, "last": values}, "baseline": {"sad": trivial}}
        result |= {"checkpoint": "best.ckpt", "picture": None}
        print_summary(result, task, RunFolder(tmp_path / "[b] [/x]"))  # which is no markup of rich's
    shown = capsys.readouterr().out
    assert f"{tmp_path}/[b] [/x]/best.ckpt" in shown
    assert "best SAD [10³] undefined; the trivial answer's: 1.0000" in shown
    assert "best SAD [10³] 0.0000; the trivial answer's: 0.0000" in shown


def test_the_error_is_one_of_values() -> None:
    assert issubclass(DivergedError, ValueError)
