"""Evaluation of a checkpoint on any data of its task."""

import hashlib
import time
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.loggers import Logger
from rich.console import Console

from denseup.data.datamodules import DenseData
from denseup.engine.callbacks.history import flat
from denseup.engine.callbacks.predictions import SavePredictions
from denseup.engine.classes import class_entries
from denseup.engine.folder import CONFIG_KEY, RunFolder
from denseup.engine.former import upgraded
from denseup.engine.info import RunInfo
from denseup.engine.loggers.context import RunContext, run_id
from denseup.engine.loggers.making import finish_loggers, log_summary, log_table, make_loggers, notes
from denseup.engine.options import check_trainer
from denseup.engine.per_image import image_rows, write_images
from denseup.engine.quiet import only_printed, quiet_lightning
from denseup.engine.resuming import load_checkpoint
from denseup.engine.summary import metrics_table
from denseup.tasks import DenseTask
from denseup.tasks.divergence import DivergedError


def read_checkpoint(path: str | Path) -> tuple[dict[str, Any], dict[str, torch.Tensor]]:
    """Config and weights of a checkpoint that `train` wrote.

    Raises:
        ValueError: no such file, or a file that `train` did not write.
    """
    checkpoint = load_checkpoint(path, "ckpt", CONFIG_KEY, "state_dict")
    try:
        return upgraded(checkpoint[CONFIG_KEY]), checkpoint["state_dict"]
    except (TypeError, ValueError, AttributeError, KeyError, RecursionError) as error:
        raise ValueError(f"ckpt={path}: the config in it is broken ({type(error).__name__}: {error})") from error


def checkpoint_digest(path: str | Path) -> str:
    """SHA-256 of a checkpoint's file."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def evaluate(
    task: DenseTask,
    data: DenseData,
    folder: RunFolder,
    info: RunInfo,
    *,
    checkpoint: str | Path,
    trainer: dict[str, Any],
    console: Console | None = None,
) -> dict[str, Any]:
    """Measure a task whose weights are loaded, on the test split of `data`.

    Args:
        task, data, folder, info: as in `train`.
        checkpoint: where the weights came from, for the record.
        trainer: arguments of `pytorch_lightning.Trainer`.

    Returns:
        What result.json holds: status "finished", metrics, the trivial answer, seconds.

    Raises:
        ValueError: an argument of the trainer that no evaluation can have.
        DivergedError: a weight or a prediction is not finite.
    """
    started = time.monotonic()
    check_trainer(trainer)
    result = {"status": "running", **info.describe(), "checkpoint": str(checkpoint)}
    result["checkpoint_sha256"] = checkpoint_digest(checkpoint)
    folder.write_result(result)
    id = run_id("eval", result["config_hash"], str(folder.path.resolve()))
    config = {**info.config, "checkpoint": str(checkpoint)}
    loggers = make_loggers(RunContext(folder.path, config, "eval", id), info.logger)
    exit_code = 1
    found: list[str] = []
    try:
        metrics = _measure(task, data, folder, checkpoint, loggers, trainer)
        images = image_rows({"evaluation": "test"}, task.per_image())
        write_images(folder, images, {"test": task.counts()})
        result |= {"status": "finished", "metrics": metrics, "metric_info": task.metrics.describe()}
        result |= class_entries(task, {"test": task.per_class()})
        result |= {"baseline": task.baseline, "monitor": task.monitor, "mode": task.mode}
        result["picture"] = "images/test_000000.png" if task.num_examples else None
        result["seconds"] = round(time.monotonic() - started, 3)
        folder.write_result(result)
        exit_code = 0
        with only_printed("logging the result"):
            log_table(loggers, "per_image", images)
            log_summary(loggers, flat({"test": metrics, "baseline": task.baseline}))
            found = notes(loggers)
    finally:
        with only_printed("closing the loggers"):
            finish_loggers(loggers, exit_code)
    with only_printed("the summary"):
        _print(result, task, folder, found, console or Console())
    return result


def _measure(
    task: DenseTask,
    data: DenseData,
    folder: RunFolder,
    checkpoint: str | Path,
    loggers: list[Logger],
    options: dict[str, Any],
) -> dict[str, float]:
    with quiet_lightning():
        trainer = pl.Trainer(
            logger=loggers or False, callbacks=[SavePredictions(folder)], default_root_dir=folder.path, **options
        )
        if trainer.world_size > 1:
            raise ValueError(f"trainer.devices is {options.get('devices')!r}, expected 1: evaluation is one process's")
        try:
            trainer.test(task, datamodule=data, verbose=False)
        except DivergedError as error:
            raise DivergedError(f"ckpt={checkpoint}: {error}") from error
    return {name: float(value) for name, value in task.metrics.compute().items()}


def _print(result: dict[str, Any], task: DenseTask, folder: RunFolder, notes: list[str], console: Console) -> None:
    rows = [("checkpoint", result["metrics"]), (f"trivial ({task.trivial})", task.baseline)]
    console.print(metrics_table(f"{result['task']} · {result['upsampler']}", rows, task.metrics.values))
    for name, path in {"predictions": result["picture"], "result": folder.result.name}.items():
        if path is not None:
            console.print(f"{name}: {folder.path / path}", highlight=False, soft_wrap=True, markup=False)
    for note in notes:
        console.print(note, highlight=False, soft_wrap=True, markup=False)
