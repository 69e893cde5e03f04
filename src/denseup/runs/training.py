"""One training run: fit, evaluate, keep the best, write down what came out."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.loggers import Logger

from denseup.data.datamodule import DenseData
from denseup.runs.callbacks import KeepHistory, SavePredictions, checkpoints, flat
from denseup.runs.feature_evolution import FeatureEvolution
from denseup.runs.folder import FEATURES, RunFolder
from denseup.runs.info import RunInfo
from denseup.runs.loggers import finish_loggers, identified, log_summary, log_table, make_loggers, wandb_note
from denseup.runs.processes import is_first
from denseup.runs.progress import RunProgress
from denseup.runs.quiet import quiet_lightning
from denseup.runs.summary import print_summary
from denseup.tasks import DenseTask

CONFIG_KEY = "denseup_config"
"""Entry of a checkpoint that holds the run's whole config, from which `evaluate` rebuilds the network."""


def train(
    task: DenseTask,
    data: DenseData,
    folder: RunFolder,
    info: RunInfo,
    *,
    trainer: dict[str, Any],
    resume: str | Path | None = None,
    callbacks: Sequence[pl.Callback] = (),
) -> dict[str, Any]:
    """Train a task and write its run folder. Of several processes (DDP) all call it, and the first one writes.

    Args:
        task: with its optimization.
        data: of the same task.
        folder: where everything goes.
        info: names the run.
        trainer: arguments of `pytorch_lightning.Trainer`.
        resume: checkpoint to go on from.
        callbacks: of the trainer, beside those that every run has.

    Returns:
        What result.json holds: status "finished", metrics (best and last), the trivial answer, parameters, seconds.

    Raises:
        Whatever the training raises, after the loggers have been closed as failed.
    """
    started = time.monotonic()
    result = {"status": "running", **info.describe(), "params": sum(p.numel() for p in task.network.parameters())}
    loggers = _start(folder, info, result, _step_of(resume)) if is_first() else []
    exit_code = 1
    try:
        history = KeepHistory()
        with quiet_lightning():
            lightning = _trainer(task, folder, info, trainer, loggers, [history, *callbacks])
            lightning.fit(task, datamodule=data, ckpt_path=resume, weights_only=True)
            _evaluate_at_the_end(lightning, task, data, folder, history)
        result |= {"status": "finished", "steps": lightning.global_step, **_outcome(task, history, folder)}
        result |= _features(callbacks)
        result["seconds"] = round(time.monotonic() - started, 3)
        log_table(loggers, "evaluations", history.history)
        log_summary(loggers, _flat_summary(result))
        note = wandb_note(loggers)
        if is_first():
            folder.write_result(result)
        exit_code = 0
    finally:
        finish_loggers(loggers, exit_code)
    if is_first():
        print_summary(result, task, folder, note)
    return result


def _start(folder: RunFolder, info: RunInfo, result: dict[str, Any], resumed_at: int | None) -> list[Logger]:
    """Write down that the run has begun, and open its loggers."""
    folder.write_result(result)
    config = {**info.config, "params": result["params"]}
    options = identified(info.logger, "train", result["config_hash"], str(folder.path.resolve()))
    return make_loggers(folder.path, config=config, resumed_at=resumed_at, **options)


def _step_of(checkpoint: str | Path | None) -> int | None:
    if checkpoint is None:
        return None
    return int(torch.load(checkpoint, map_location="cpu", weights_only=True)["global_step"])


class _StoreConfig(pl.Callback):
    def __init__(self, config: dict[str, Any]) -> None:
        self.config = config

    def on_save_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        checkpoint[CONFIG_KEY] = self.config


def _trainer(
    task: DenseTask,
    folder: RunFolder,
    info: RunInfo,
    options: dict[str, Any],
    loggers: list[Logger],
    callbacks: Sequence[pl.Callback],
) -> pl.Trainer:
    """Callbacks keep this order: the history must be in a checkpoint that is saved after the same evaluation."""
    everyone = [
        *callbacks,
        SavePredictions(folder),
        _StoreConfig(info.config),
        RunProgress(),
        *checkpoints(folder, task),
    ]
    return pl.Trainer(logger=loggers or False, callbacks=everyone, default_root_dir=folder.path, **options)


def _evaluate_at_the_end(
    trainer: pl.Trainer, task: DenseTask, data: DenseData, folder: RunFolder, history: KeepHistory
) -> None:
    """Where the last step had no evaluation of its own, make up for it."""
    if history.history and history.history[-1]["step"] == trainer.global_step:
        return
    step = trainer.global_step
    trainer.validate(task, datamodule=data, verbose=False)
    history.history[-1]["step"] = step
    if history.history[-1] == history.best_and_last(task)["best"]:
        trainer.save_checkpoint(folder.checkpoints / "best.ckpt")
    trainer.save_checkpoint(folder.checkpoints / "last.ckpt")


def _outcome(task: DenseTask, history: KeepHistory, folder: RunFolder) -> dict[str, Any]:
    metrics = history.best_and_last(task)
    return {
        "monitor": task.monitor,
        "mode": task.mode,
        "metrics": metrics,
        **_classes(task, history.per_class[history.history.index(metrics["best"])], history.per_class[-1]),
        "baseline": task.baseline,
        "checkpoint": str((folder.checkpoints / "best.ckpt").relative_to(folder.path)),
        "picture": f"images/val_{int(metrics['best']['step']):06d}.png",
    }


def _features(callbacks: Sequence[pl.Callback]) -> dict[str, str]:
    """Where the pictures of features are, if the run was to draw them."""
    drawn = any(isinstance(callback, FeatureEvolution) for callback in callbacks)
    return {"features": f"{FEATURES}/contact_sheet.png"} if drawn else {}


def _classes(task: DenseTask, best: dict[str, list[float]], last: dict[str, list[float]]) -> dict[str, Any]:
    """Each class's values in both evaluations, and the classes' names or else numbers; {} for a task without any."""
    if not last:
        return {}
    names = getattr(task, "class_names", None) or range(len(last["iou"]))
    return {"class_names": [str(name) for name in names], "per_class": {"best": best, "last": last}}


def _flat_summary(result: dict[str, Any]) -> dict[str, Any]:
    measured = flat({**result["metrics"], "baseline": result["baseline"]})
    return measured | {"params": result["params"], "seconds": result["seconds"]}
