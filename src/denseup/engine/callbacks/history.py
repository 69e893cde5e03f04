"""The metrics of every evaluation of a run."""

import math
from collections.abc import Mapping
from typing import Any

import pytorch_lightning as pl

from denseup.engine.loggers.making import log_summary
from denseup.tasks import DenseTask


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
