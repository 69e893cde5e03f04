"""Callbacks of a training run."""

import math
from collections.abc import Mapping
from functools import partial
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import ModelCheckpoint

from denseup.runs.folder import RunFolder
from denseup.runs.loggers import log_image, log_summary
from denseup.tasks import DenseTask
from denseup.visualization import grid, save_png


class SavePredictions(pl.Callback):
    """After every evaluation, the task's examples as one picture: images/<stage>_<step>.png, and in the loggers."""

    def __init__(self, folder: RunFolder) -> None:
        self.folder = folder

    def on_validation_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Save the picture of the validation examples."""
        self._save(trainer, pl_module, "val")

    def on_test_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Save the picture of the test examples."""
        self._save(trainer, pl_module, "test")

    def _save(self, trainer: pl.Trainer, task: pl.LightningModule, stage: str) -> None:
        assert isinstance(task, DenseTask)
        if trainer.sanity_checking or not trainer.is_global_zero or not task.examples:
            return
        picture = grid(task.examples)
        save_png(self.folder.images / f"{stage}_{trainer.global_step:06d}.png", picture)
        log_image(trainer.loggers, f"{stage}/predictions", picture, trainer.global_step)


class KeepHistory(pl.Callback):
    """Every evaluation's metrics, by step: `history[i] = {"step": …, "sad": …}`; `per_class[i]` those of each class."""

    def __init__(self) -> None:
        self.history: list[dict[str, float]] = []
        self.per_class: list[dict[str, list[float]]] = []
        self.first = 0
        """The earliest evaluation whose checkpoint can be the best: of those before it there is none any more."""

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Record the metrics at full precision."""
        assert isinstance(pl_module, DenseTask)
        if not trainer.sanity_checking:
            values = {name: float(value) for name, value in pl_module.metrics.compute().items()}
            self.history.append({"step": trainer.global_step, **values})
            self.per_class.append(pl_module.per_class())
            log_summary(trainer.loggers, flat(self.best_and_last(pl_module)))

    def best_and_last(self, task: DenseTask) -> dict[str, dict[str, float]]:
        """The evaluation that is best by the task's monitor, and the last one."""
        sign = 1 if task.mode == "min" else -1

        def badness(values: dict[str, float]) -> float:
            value = values[task.monitor]
            return math.inf if math.isnan(value) else sign * value  # NaN: undefined, and less than nothing

        best = min(self.history[self.first :] or self.history, key=badness)
        return {"best": best, "last": self.history[-1]}

    def state_dict(self) -> dict[str, object]:
        """For resuming."""
        return {"history": self.history, "per_class": self.per_class}

    def load_state_dict(self, state_dict: dict[str, list[Any]]) -> None:
        """For resuming."""
        self.history = list(state_dict["history"])
        # Checkpoints of earlier versions have no values of classes.
        self.per_class = list(state_dict.get("per_class", [{} for _ in self.history]))


def flat(metrics: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
    """{"best": {"sad": …}, …} as best/sad, …: what a W&B table of runs compares."""
    return {f"{kind}/{name}": value for kind, values in metrics.items() for name, value in values.items()}


def checkpoints(folder: RunFolder, task: DenseTask) -> tuple[ModelCheckpoint, ModelCheckpoint]:
    """checkpoints/best.ckpt by the task's monitor, and checkpoints/last.ckpt after every evaluation."""
    keep = partial(ModelCheckpoint, folder.checkpoints, enable_version_counter=False)
    return keep("best", monitor=f"val/{task.monitor}", mode=task.mode), keep("last")
