"""W&B never asks and never stops a run for want of a login."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from configuring import configure

from denseup.cli.config import plain
from denseup.engine.loggers import wandb_run as loggers
from denseup.engine.loggers.context import RunContext
from denseup.engine.loggers.making import finish_loggers, log_image, log_summary, log_table, make_loggers


@pytest.fixture(autouse=True)
def no_key(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("WANDB_MODE", "WANDB_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))


def test_offline_without_a_key() -> None:
    assert loggers.wandb_mode() == "offline"


def test_online_with_a_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_API_KEY", "k" * 40)
    assert loggers.wandb_mode() == "online"
    monkeypatch.setenv("WANDB_MODE", "offline")
    assert loggers.wandb_mode() == "offline"
    monkeypatch.setenv("WANDB_MODE", "disabled")
    assert loggers.wandb_mode() == "disabled"


def test_online_with_a_netrc_entry(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("WANDB_BASE_URL", "https://wandb.example.org")
    (tmp_path / "netrc").write_text(f"machine wandb.example.org login user password {'k' * 40}\n")
    assert loggers.wandb_mode() == "online"


def test_asking_for_online_without_a_key_goes_offline_with_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_MODE", "online")
    with pytest.warns(UserWarning, match="no W&B key is configured"):
        assert loggers.wandb_mode() == "offline"


def chosen(name: str) -> dict[str, Any]:
    """What conf/logger/NAME.yaml says in a run."""
    return plain(configure("task=matting", f"logger={name}").logger)


def test_no_logger_writes_nothing(tmp_path: Path) -> None:
    assert make_loggers(RunContext(tmp_path), chosen("none")) == []
    assert make_loggers(RunContext(tmp_path), {"csv": None, "wandb": None}) == []
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("options", [{"project": "p"}, {"_target_": "nowhere.Logger"}, {"_target_": "wandb.Nothing"}])
def test_what_makes_no_logger_is_named(tmp_path: Path, options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"logger\.mine"):
        make_loggers(RunContext(tmp_path), {"mine": options})


def log_a_run(folder: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Numbers, a picture, a table and a summary, to the loggers of conf/logger/NAME.yaml."""
    monkeypatch.chdir(folder)
    loggers = make_loggers(RunContext(folder, {"task": {"name": "matting"}}), chosen(name))
    for logger in loggers:
        logger.log_metrics({"val/sad": 2.5}, step=3)
    log_image(loggers, "val/predictions", np.zeros((4, 6, 3), np.uint8), 3)
    log_table(loggers, "evaluations", [{"step": 3, "sad": 2.5}, {"step": 4, "sad": 2.0}])
    log_summary(loggers, {"best/sad": 2.0})
    finish_loggers(loggers, 0)


def test_tensorboard_gets_numbers_pictures_tables_and_summary(tmp_path: Path, monkeypatch) -> None:
    pytest.importorskip("tensorboard", reason="tensorboard is not installed")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    log_a_run(tmp_path, "tensorboard", monkeypatch)
    read = EventAccumulator(str(tmp_path / "tensorboard"))
    read.Reload()
    tags = read.Tags()
    assert {"val/sad", "best/sad"} <= set(tags["scalars"])
    assert [event.value for event in read.Scalars("val/sad")] == [2.5]
    assert tags["images"] == ["val/predictions"]
    (text,) = read.Tensors("evaluations/text_summary")
    assert "| step | sad |" in text.tensor_proto.string_val[0].decode()
    assert (tmp_path / "metrics.csv").is_file()


def test_mlflow_gets_numbers_pictures_tables_and_summary(tmp_path: Path, monkeypatch) -> None:
    pytest.importorskip("mlflow", reason="mlflow is not installed")
    from mlflow.tracking import MlflowClient

    log_a_run(tmp_path, "mlflow", monkeypatch)
    client = MlflowClient("sqlite:///mlflow.db")
    (run,) = client.search_runs([client.get_experiment_by_name("denseup").experiment_id])
    assert run.data.metrics == {"val/sad": 2.5, "best/sad": 2.0}
    assert run.data.params["task/name"] == "matting"
    files = {path.name for path in (tmp_path / "mlruns").rglob("*") if path.is_file()}
    assert {"predictions_000003.png", "evaluations.json"} <= files


def test_a_logger_without_an_adapter_gets_the_numbers(tmp_path: Path) -> None:
    options = {"_target_": "engine.plain_logger.PlainLogger"}
    (logger,) = loggers = make_loggers(RunContext(tmp_path, {"seed": 1}), {"mine": options})
    logger.log_metrics({"val/sad": 2.5}, step=3)
    log_image(loggers, "x", np.zeros((4, 6, 3), np.uint8), 3)
    log_table(loggers, "x", [{"step": 3}])
    finish_loggers(loggers, 0)
    assert logger.seen == [{"seed": 1}, (3, {"val/sad": 2.5}), "success"]  # type: ignore[attr-defined]
