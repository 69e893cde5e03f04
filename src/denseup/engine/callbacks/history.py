"""The metrics of every evaluation of a run."""

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import pytorch_lightning as pl
from torch import Tensor

from denseup.engine.callbacks.averaging import AVERAGED
from denseup.engine.loggers.making import log_summary
from denseup.engine.per_image import Row, image_rows
from denseup.tasks import DenseTask
from denseup.tasks.images import Columns

DETAILS = ("per_class", "per_image", "counts")
"""What is kept of an evaluation beside its metrics."""


class KeepHistory(pl.Callback):
    """Every evaluation's metrics, by step: `history[i] = {"step": …, "sad": …}`; `per_class[i]` those of each class.

    `per_image[i]` are those of each image, of the best and the last evaluation; {} of the others. So are `counts[i]`.
    """

    def __init__(self) -> None:
        self.history: list[dict[str, float]] = []
        self.per_class: list[dict[str, list[float]]] = []
        self.per_image: list[Columns] = []
        self.counts: list[dict[str, Tensor]] = []
        self.first = 0
        """The earliest evaluation whose checkpoint can be the best: of those before it there is none any more."""
        self.averaged: int | None = None
        """Where the evaluation of the averaged weights stands: behind the last one, if there is any."""

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Record the metrics at full precision."""
        assert isinstance(pl_module, DenseTask)
        if not trainer.sanity_checking:
            values = {name: float(value) for name, value in pl_module.metrics.compute().items()}
            self.history.append({"step": trainer.global_step, **values})
            self.per_class.append(pl_module.per_class())
            self.per_image.append(pl_module.per_image())
            self.counts.append(pl_module.counts())
            kept = self.places(pl_module).values()
            self.per_image = [columns if i in kept else {} for i, columns in enumerate(self.per_image)]
            self.counts = [counts if i in kept else {} for i, counts in enumerate(self.counts)]
            log_summary(trainer.loggers, flat(self.outcomes(pl_module)))

    @contextmanager
    def of_averaged_weights(self) -> Iterator[None]:
        """Within it the next evaluation is that of the averaged weights."""
        self.averaged = len(self.history)
        yield

    @property
    def evaluations(self) -> list[dict[str, float]]:
        """Those along the training."""
        return self.history[: self.averaged]

    def places(self, task: DenseTask) -> dict[str, int]:
        """Where the evaluation stands that is best by the task's monitor, the last one, and the averaged weights'."""
        sign = 1 if task.mode == "min" else -1

        def badness(place: int) -> float:
            value = self.history[place][task.monitor]
            return math.inf if math.isnan(value) else sign * value  # NaN: undefined, and less than nothing

        last = len(self.evaluations) - 1
        best = min(range(self.first, last + 1) or range(last + 1), key=badness)
        found = {"best": best, "last": last}
        return found if self.averaged is None else {**found, AVERAGED: self.averaged}

    def outcomes(self, task: DenseTask) -> dict[str, dict[str, float]]:
        """The metrics of these."""
        return {kind: self.history[place] for kind, place in self.places(task).items()}

    def forget_repeated(self) -> None:
        """Drop the last evaluation, which measured the same weights as the one before it; that has its images now."""
        del self.history[-1], self.per_class[-1], self.per_image[-2], self.counts[-2]

    def image_rows(self, task: DenseTask) -> list[Row]:
        """The images of these evaluations, as far as they are known: rows of per_image.csv."""
        rows: list[Row] = []
        for kind, place in self.places(task).items():
            evaluation = {"evaluation": kind, "step": int(self.history[place]["step"])}
            rows += image_rows(evaluation, self.per_image[place])
        return rows

    def image_counts(self, task: DenseTask) -> dict[str, dict[str, Tensor]]:
        """What was counted of these images, by evaluation, in the order of `image_rows`."""
        return {kind: self.counts[place] for kind, place in self.places(task).items()}

    def state_dict(self) -> dict[str, object]:
        """For resuming."""
        return {"history": self.history, **{name: getattr(self, name) for name in DETAILS}}

    def load_state_dict(self, state_dict: dict[str, list[Any]]) -> None:
        """For resuming."""
        self.history = list(state_dict["history"])
        # Checkpoints of earlier versions have no values of classes, or none of images.
        for name in DETAILS:
            setattr(self, name, list(state_dict.get(name, [{} for _ in self.history])))


def flat(metrics: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
    """{"best": {"sad": …}, …} as best/sad, …: what a W&B table of runs compares."""
    return {f"{kind}/{name}": value for kind, values in metrics.items() for name, value in values.items()}
