"""Evaluation of a checkpoint on any data of its task."""

import hashlib
import time
from pathlib import Path
from typing import Any

import torch
from rich.console import Console

from denseup.data.datamodules import DenseData
from denseup.engine.callbacks.history import flat
from denseup.engine.folder import CONFIG_KEY, EVALUATION, RunFolder
from denseup.engine.former import upgraded
from denseup.engine.info import RunInfo
from denseup.engine.loggers.context import RunContext, run_id
from denseup.engine.loggers.making import finish_loggers, log_summary, log_table, make_loggers, notes
from denseup.engine.measuring import Measuring, metrics_by
from denseup.engine.options import check_trainer
from denseup.engine.quiet import only_printed
from denseup.engine.resuming import load_checkpoint
from denseup.engine.summary import metrics_table
from denseup.evaluation import EvaluationSettings
from denseup.evaluation.robustness import MEAN, summary_keys
from denseup.faults import naming_dead_workers
from denseup.metrics import MetricInfo
from denseup.tasks import DenseTask

PUBLISHED = EvaluationSettings()
"""Each image seen once and whole, measured by the published metrics."""


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
    settings: EvaluationSettings = PUBLISHED,
) -> dict[str, Any]:
    """Measure a task whose weights are loaded, on the test split of `data`.

    Args:
        task, data, folder, info: as in `train`.
        checkpoint: where the weights came from, for the record.
        trainer: as in `train`; `compile` is for training and counts for nothing.
        settings: how images are seen, and what is measured and written. `info.config` has their `identity` as
            "evaluation" where there is any, so that reports keep measurements apart.

    Returns:
        What result.json holds: status "finished", metrics, the trivial answer, seconds.

    Raises:
        ValueError: an argument of the trainer that no evaluation can have, settings that the task can't have, or a
            config that does not tell of them.
        DivergedError: a weight or a prediction is not finite.
    """
    started = time.monotonic()
    check_trainer(trainer)
    settings.check_task(task)
    _check_identity(info, settings.identity(type(task)))
    if settings.metrics is not None:
        task.metrics = task.metric_variants[settings.metrics](task)
    result = {"status": "running", **info.describe(), "checkpoint": str(checkpoint)}
    result["checkpoint_sha256"] = checkpoint_digest(checkpoint)
    result |= {"evaluation": settings.identity(type(task)), "metrics_by": metrics_by(task)}
    folder.write_result(result)
    id = run_id("eval", result["config_hash"], str(folder.path.resolve()))
    config = {**info.config, "checkpoint": str(checkpoint)}
    loggers = make_loggers(RunContext(folder.path, config, "eval", id), info.logger)
    exit_code = 1
    found: list[str] = []
    try:
        with naming_dead_workers():
            entries, images, told = Measuring(task, data, folder, settings, checkpoint, trainer)(loggers)
        result |= {"status": "finished", **entries}
        result["picture"] = "images/test_000000.png" if task.num_examples else None
        result["seconds"] = round(time.monotonic() - started, 3)
        folder.write_result(result)
        exit_code = 0
        with only_printed("logging the result"):
            log_table(loggers, "per_image", images)
            log_summary(loggers, flat({"test": entries["metrics"], "baseline": task.baseline}))
            found = [*told, *notes(loggers)]
    finally:
        with only_printed("closing the loggers"):
            finish_loggers(loggers, exit_code)
    with only_printed("the summary"):
        _print(result, task, folder, found, console or Console())
    return result


def _check_identity(info: RunInfo, identity: dict[str, Any]) -> None:
    """A report would take this for another measurement than it is."""
    told = info.config.get(EVALUATION) or {}
    if told != identity:
        raise ValueError(f"info.config[{EVALUATION!r}] is {told}, expected {identity}, as the settings' identity says")


def _print(result: dict[str, Any], task: DenseTask, folder: RunFolder, notes: list[str], console: Console) -> None:
    rows = [("checkpoint", result["metrics"]), (f"trivial ({task.trivial})", task.baseline)]
    infos = [MetricInfo.read(entry) for entry in result["metric_info"]["values"]]
    of_clean = [info for info in infos if info.key not in summary_keys(task.metrics.values)]
    console.print(metrics_table(f"{result['task']} · {result['upsampler']}", rows, of_clean))
    if means := [row for row in result.get("robustness", ()) if row["severity"] in (0, MEAN)]:
        console.print(metrics_table("corrupted", [(row["corruption"], row) for row in means], task.metrics.values))
    for name, path in {"predictions": result["picture"], "result": folder.result.name}.items():
        if path is not None:
            console.print(f"{name}: {folder.path / path}", highlight=False, soft_wrap=True, markup=False)
    for note in notes:
        console.print(note, highlight=False, soft_wrap=True, markup=False)
