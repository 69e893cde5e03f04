"""Evaluation of a checkpoint on any data of its task."""

import time
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from rich.console import Console

from denseup.data.datamodule import DenseData
from denseup.runs.callbacks import SavePredictions, flat
from denseup.runs.folder import RunFolder
from denseup.runs.info import RunInfo
from denseup.runs.loggers import finish_loggers, identified, log_summary, make_loggers, wandb_note
from denseup.runs.quiet import quiet_lightning
from denseup.runs.summary import TRIVIAL, metrics_table
from denseup.runs.training import CONFIG_KEY
from denseup.tasks import DenseTask


def read_checkpoint(path: str | Path) -> tuple[dict[str, Any], dict[str, torch.Tensor]]:
    """Config and weights of a checkpoint that `train` wrote.

    Raises:
        ValueError: no such file, or a file that `train` did not write.
    """
    if not Path(path).is_file():
        raise ValueError(f"ckpt={path}: there is no such file; expected the checkpoints/best.ckpt of a run")
    try:
        checkpoint = torch.load(path, map_location="cpu", weights_only=True)
        return checkpoint[CONFIG_KEY], checkpoint["state_dict"]
    except Exception as error:
        raise ValueError(f"ckpt={path}: not a checkpoint written by this package ({error!r})") from error


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
    """
    started = time.monotonic()
    result = {"status": "running", **info.describe(), "checkpoint": str(checkpoint)}
    folder.write_result(result)
    options = identified(info.logger, "eval", result["config_hash"], str(folder.path.resolve()))
    loggers = make_loggers(folder.path, config={**info.config, "checkpoint": str(checkpoint)}, **options)
    exit_code = 1
    try:
        with quiet_lightning():
            lightning = pl.Trainer(
                logger=loggers or False, callbacks=[SavePredictions(folder)], default_root_dir=folder.path, **trainer
            )
            if lightning.world_size > 1:
                raise ValueError(
                    f"trainer.devices is {trainer.get('devices')!r}, expected 1: evaluation is one process's"
                )
            lightning.test(task, datamodule=data, verbose=False)
        metrics = {name: float(value) for name, value in task.metrics.compute().items()}
        result |= {"status": "finished", "metrics": metrics, "baseline": task.baseline, "monitor": task.monitor}
        result["picture"] = "images/test_000000.png"
        result["seconds"] = round(time.monotonic() - started, 3)
        log_summary(loggers, flat({"test": metrics, "baseline": task.baseline}))
        note = wandb_note(loggers)
        folder.write_result(result)
        exit_code = 0
    finally:
        finish_loggers(loggers, exit_code)
    console = console or Console()
    rows = [("checkpoint", metrics), (TRIVIAL[task.name], task.baseline)]
    console.print(metrics_table(f"{info.task} · {info.upsampler}", rows))
    for name, path in {"predictions": result["picture"], "result": folder.result.name}.items():
        console.print(f"{name}: {folder.path / path}", highlight=False, soft_wrap=True)
    if note:
        console.print(f"W&B: {note}", highlight=False, soft_wrap=True)
    return result
