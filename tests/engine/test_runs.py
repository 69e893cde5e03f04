"""A run from end to end: its folder, its result, the same again, its evaluation, its failures."""

import csv
import json
import math
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from configuring import TINY, configure
from omegaconf import DictConfig, OmegaConf
from processes import wait_for
from torch import Tensor

from denseup.cli import evaluate, train
from denseup.cli.config import RunError, user_errors
from denseup.data import DataError
from denseup.engine import RunFolder, training
from denseup.engine.evaluation import read_checkpoint
from denseup.engine.loggers.wandb_reader import LoggedRun, find_runs, read_run

SHORT = ["trainer=short", "data.batch_size=2", "data.image_size=96"]


def short(task: str, *overrides: str) -> DictConfig:
    return configure(f"task={task}", *SHORT, *TINY[task], "logger=csv", *overrides)


@pytest.fixture(scope="module")
def matting_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("matting")
    train.run(short("matting", "logger=wandb"), RunFolder(path))
    return path


def test_a_run_folder_has_all_its_parts(matting_run: Path) -> None:
    result = json.loads((matting_run / "result.json").read_text())
    assert (result["status"], result["task"], result["upsampler"], result["seed"]) == ("finished", "matting", "fade", 0)
    assert set(result["metrics"]["best"]) == {"step", "sad", "mse", "grad", "conn"}
    assert result["metrics"]["last"]["step"] == 4
    assert result["baseline"]["sad"] > 0
    assert result["params"] > 0
    assert len(result["config_hash"]) == 16
    assert result["versions"]["torch"]
    assert OmegaConf.load(matting_run / "config.yaml").upsampler.name == "fade"
    for path in (result["checkpoint"], "checkpoints/last.ckpt", result["picture"]):
        assert (matting_run / path).is_file()
    picture = cv2.imread(str(matting_run / result["picture"]))
    assert picture.shape[0] > 96
    assert list((matting_run / "wandb").glob("offline-run-*/run-*.wandb"))


def test_metrics_csv_holds_loss_and_validation(matting_run: Path) -> None:
    with (matting_run / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert sum(bool(row["train/loss"]) for row in rows) == 4
    result = json.loads((matting_run / "result.json").read_text())
    logged = [float(row["val/sad"]) for row in rows if row["val/sad"]]
    assert logged[-1] == pytest.approx(result["metrics"]["last"]["sad"], rel=1e-6)


@pytest.mark.parametrize("task", ["matting", "segmentation"])
def test_two_runs_with_one_seed_agree_to_the_last_digit(task: str, tmp_path: Path) -> None:
    results = [train.run(short(task), RunFolder(tmp_path / name)) for name in ("a", "b")]
    assert results[0]["metrics"] == results[1]["metrics"]
    if task == "segmentation":
        values = results[0]["per_class"]["best"]["iou"]
        assert len(values) == len(results[0]["class_names"])
        assert np.nanmean(values) == pytest.approx(results[0]["metrics"]["best"]["miou"], rel=1e-12)
    other = train.run(short(task, "seed=1"), RunFolder(tmp_path / "c"))
    assert other["metrics"] != results[0]["metrics"]
    assert other["config_hash"] != results[0]["config_hash"] == results[1]["config_hash"]


def test_evaluation_repeats_the_validation(matting_run: Path, tmp_path: Path) -> None:
    result = json.loads((matting_run / "result.json").read_text())
    cfg = configure(f"ckpt={matting_run / result['checkpoint']}", "+trainer.limit_test_batches=4", name="evaluate")
    measured = evaluate.run(cfg, RunFolder(tmp_path))
    best = {key: value for key, value in result["metrics"]["best"].items() if key != "step"}
    assert measured["metrics"] == best
    assert (tmp_path / measured["picture"]).is_file()


def test_an_evaluation_is_a_wandb_run_of_its_own(matting_run: Path, tmp_path: Path) -> None:
    cfg = configure(
        f"ckpt={matting_run / 'checkpoints/best.ckpt'}",
        "+trainer.limit_test_batches=1",
        "logger=wandb",
        name="evaluate",
    )
    measured = evaluate.run(cfg, RunFolder(tmp_path))
    trained, evaluated = (ended(find_runs(folder)[0]) for folder in (matting_run, tmp_path))
    assert (trained.job_type, evaluated.job_type) == ("train", "eval")
    assert trained.group == evaluated.group == "default"
    assert trained.id != evaluated.id
    assert evaluated.state == "finished"
    assert evaluated.config["checkpoint"] == measured["checkpoint"]
    assert {name: evaluated.summary[f"test/{name}"] for name in measured["metrics"]} == measured["metrics"]
    assert len(evaluated.values("test/predictions")) == 1


def test_a_checkpoint_is_plain_data(matting_run: Path) -> None:
    config, weights = read_checkpoint(matting_run / "checkpoints/best.ckpt")
    assert config["upsampler"]["name"] == "fade"
    assert all(torch.is_tensor(value) for value in weights.values())


def write_folder(root: Path, size: tuple[int, int] = (40, 50), alpha_size: tuple[int, int] = (40, 50)) -> None:
    rng = np.random.default_rng(0)
    for kind, shape in (("image", (*size, 3)), ("alpha", alpha_size)):
        (root / kind).mkdir(parents=True)
        cv2.imwrite(str(root / kind / "a.png"), rng.integers(0, 256, shape, np.uint8))


def on_folder(run: Path, root: Path, *overrides: str) -> DictConfig:
    ckpt = f"ckpt={run / 'checkpoints/best.ckpt'}"
    return configure(
        ckpt, "data=matting_folder", f"data.root={root}", "data.num_workers=0", *overrides, name="evaluate"
    )


def test_evaluation_on_ones_own_folder(matting_run: Path, tmp_path: Path) -> None:
    write_folder(tmp_path / "data")
    result = evaluate.run(on_folder(matting_run, tmp_path / "data"), RunFolder(tmp_path / "out"))
    assert result["status"] == "finished"
    assert math.isfinite(result["metrics"]["sad"])


def test_a_size_mismatch_names_the_file(matting_run: Path, tmp_path: Path) -> None:
    write_folder(tmp_path / "data", alpha_size=(41, 50))
    with pytest.raises(ValueError, match=r"1 broken samples(.|\n)*a\.png(.|\n)*41"):
        evaluate.run(on_folder(matting_run, tmp_path / "data"), RunFolder(tmp_path / "out"))


def test_a_missing_root_names_the_argument(tmp_path: Path) -> None:
    cfg = configure("task=segmentation", "data=camvid", f"data.root={tmp_path / 'nowhere'}")
    with pytest.raises(DataError, match="root"):
        train.run(cfg, RunFolder(tmp_path / "out"))


def test_a_missing_checkpoint_is_named(tmp_path: Path) -> None:
    cfg = configure(f"ckpt={tmp_path / 'no.ckpt'}", name="evaluate")
    with pytest.raises(ValueError, match=r"no\.ckpt: there is no such file"):
        evaluate.run(cfg, RunFolder(tmp_path))
    (tmp_path / "no.ckpt").write_text("text")
    with pytest.raises(ValueError, match="not a checkpoint written by this package"):
        evaluate.run(cfg, RunFolder(tmp_path))


def test_a_failure_is_recorded_and_shown_as_a_message(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run")
    with pytest.raises(RunError, match=r"width is odd\n\(traceback: .*error\.txt\)"), user_errors(folder):
        raise ValueError("width is odd")
    assert json.loads(folder.result.read_text())["status"] == "failed"
    assert "ValueError: width is odd" in folder.error.read_text()
    with pytest.raises(ZeroDivisionError), user_errors(folder):
        _ = 1 / 0
    assert "ZeroDivisionError" in json.loads(folder.result.read_text())["error"]


def test_a_finished_run_is_not_written_over(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    folder.write_result({"status": "finished", "metrics": {"sad": 1.0}})
    before = folder.result.read_text()
    with pytest.raises(RunError, match=r"holds a finished run; choose another hydra\.run\.dir"), user_errors(folder):
        raise AssertionError("not reached")
    assert folder.result.read_text() == before
    assert not folder.error.exists()


def test_a_failing_run_closes_its_wandb_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import wandb

    from denseup.tasks import MattingTask

    losses = []

    def fail(self: MattingTask, batch: dict) -> Tensor:
        losses.append(loss(self, batch))
        if len(losses) == 4:
            raise RuntimeError("no loss today")
        return losses[-1]

    loss = MattingTask.loss

    monkeypatch.setattr(MattingTask, "loss", fail)
    with pytest.raises(RuntimeError, match="no loss today"):
        train.run(short("matting", "logger=wandb"), RunFolder(tmp_path))
    assert wandb.run is None
    run = ended(find_runs(tmp_path)[0])
    assert (run.state, run.exit_code) == ("failed", 1)
    assert run.summary["best/step"] == run.summary["last/step"] == 2  # what it had reached


@pytest.mark.parametrize("made", ["SavePredictions", "_trainer"])
def test_loggers_are_closed_as_failed_whatever_fails(
    made: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also before the trainer is there."""

    def fail(*given: object) -> None:
        raise RuntimeError("not today")

    codes: list[int] = []
    monkeypatch.setattr(training, made, fail)
    monkeypatch.setattr(training, "finish_loggers", lambda loggers, code: codes.append(code))
    with pytest.raises(RuntimeError, match="not today"):
        train.run(short("matting"), RunFolder(tmp_path))
    assert codes == [1]


def ended(file: Path) -> LoggedRun:
    """The run in a file that W&B's own process writes; on a busy machine its end may come after finish() returned."""
    wait_for(lambda: read_run(file).exit_code is not None)
    return read_run(file)


def test_values_that_are_not_finite_become_null(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    folder.write_result({"metrics": {"mse": float("nan"), "sad": 1.5}, "rows": [float("inf")]})
    assert json.loads(folder.result.read_text()) == {"metrics": {"mse": None, "sad": 1.5}, "rows": [None]}
