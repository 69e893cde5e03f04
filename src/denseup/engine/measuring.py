"""The passes over the test images that an evaluation makes: the clean images, then each corruption."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.loggers import Logger

from denseup.data.datamodules import CorruptedData, DenseData
from denseup.engine.beside_metrics import BesideMetrics, described
from denseup.engine.callbacks.predictions import SavePredictions
from denseup.engine.classes import class_entries
from denseup.engine.compiling import without_compile
from denseup.engine.determinism import fresh_memory
from denseup.engine.folder import RunFolder, write_atomic
from denseup.engine.per_image import Row, image_rows, write_images
from denseup.engine.precision import with_precision
from denseup.engine.quiet import quiet_lightning
from denseup.evaluation import EvaluationSettings, Way
from denseup.evaluation.robustness import Robustness, table_csv
from denseup.tasks import DenseTask
from denseup.tasks.divergence import DivergedError

ROBUSTNESS = "robustness.csv"


@dataclass(frozen=True)
class Measuring:
    """One evaluation of a task whose weights are loaded.

    Args:
        task, data: with a test split.
        folder: what is measured is written to.
        settings: what is asked for.
        checkpoint: where the weights came from, for messages.
        trainer: arguments of `pytorch_lightning.Trainer`.
    """

    task: DenseTask
    data: DenseData
    folder: RunFolder
    settings: EvaluationSettings
    checkpoint: str | Path
    trainer: dict[str, Any]

    def __call__(self, loggers: list[Logger]) -> tuple[dict[str, Any], list[Row], list[str]]:
        """Make all passes and write their files; entries of result.json, rows of the clean images, and notes."""
        task, settings = self.task, self.settings
        beside = BesideMetrics(task, self.data, settings, self.folder)
        (self.folder.path / ROBUSTNESS).unlink(missing_ok=True)
        metrics = self._pass(self.data, Way(task, settings, beside.observers), loggers, [SavePredictions(self.folder)])
        images, counts, per_class = (
            image_rows({"evaluation": "test"}, task.per_image()),
            task.counts(),
            task.per_class(),
        )
        entries = {"metrics": metrics | beside.metrics(), **class_entries(task, {"test": per_class})}
        entries |= {**beside.write(per_class), "baseline": task.baseline, "monitor": task.monitor, "mode": task.mode}
        infos, of_corrupted = beside.infos(), list[Row]()
        if settings.corruptions:
            robustness, of_corrupted = self._under_corruptions(metrics)
            entries |= {"metrics": entries["metrics"] | robustness.summary(), "robustness": robustness.rows()}
            infos += robustness.summary_infos()
            write_atomic(self.folder.path / ROBUSTNESS, table_csv(robustness.rows()))
        write_images(self.folder, [*images, *of_corrupted], {"test": counts})
        return {**entries, "metric_info": described(task, infos)}, images, beside.notes()

    def _under_corruptions(self, clean: dict[str, float]) -> tuple[Robustness, list[Row]]:
        """What is measured under each corruption, and the rows of its images, as the evaluation NAME_SEVERITY."""
        found, images = {}, []
        examples, self.task.num_examples = self.task.num_examples, 0
        try:
            for name in self.settings.corruptions:
                for severity in self.settings.severities:
                    way = Way(self.task, self.settings)
                    found[name, severity] = self._pass(CorruptedData(self.data, name, severity), way, [], [])
                    images += image_rows({"evaluation": f"{name}_{severity}"}, self.task.per_image())
        finally:
            self.task.num_examples = examples
        return Robustness(clean, found, self.task.metrics.values), images

    def _pass(self, data: DenseData, way: Way, loggers: list[Logger], callbacks: list[pl.Callback]) -> dict[str, float]:
        """One look at all test images; their metrics."""
        options = with_precision(without_compile(self.trainer), self.task.prompts)
        with quiet_lightning(), self.task.answering(way), fresh_memory(options.get("deterministic")):
            trainer = pl.Trainer(
                logger=loggers or False, callbacks=callbacks, default_root_dir=self.folder.path, **options
            )
            if trainer.world_size > 1:
                raise ValueError(
                    f"trainer.devices is {options.get('devices')!r}, expected 1: evaluation is one process's"
                )
            try:
                trainer.test(self.task, datamodule=data, verbose=False)
            except DivergedError as error:
                raise DivergedError(f"ckpt={self.checkpoint}: {error}") from error
        return {name: float(value) for name, value in self.task.metrics.compute().items()}


def metrics_by(task: DenseTask) -> str:
    """By which convention a task's metrics are: its name, or that of the class for metrics of one's own."""
    kind = type(task.metrics)
    for name, make in task.metric_variants.items():
        if type(make(task)) is kind:
            return name
    return kind.__name__
