"""What an evaluation leaves behind beside its metrics: tables of classes, confusion, calibration, prediction files."""

import io
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from denseup.data.datamodules import DenseData
from denseup.engine.folder import RunFolder, write_atomic
from denseup.evaluation import EvaluationSettings
from denseup.evaluation.counting import ECE, Calibration, Confusion
from denseup.evaluation.robustness import table_csv
from denseup.evaluation.saving import PredictionFiles, as_words
from denseup.evaluation.ways import Observer
from denseup.metrics import MetricInfo
from denseup.metrics.functional.confusion import by_row
from denseup.tasks import DenseTask
from denseup.visualization import confusion_picture, save_png

PREDICTIONS = "predictions"
"""Folder of prediction files."""


class BesideMetrics:
    """Looks on while clean images are evaluated, and writes what it has seen.

    Files of an earlier evaluation in the folder are removed, so that none of another's stays.

    Args:
        task, data, settings: of the evaluation.
        folder: written to.
    """

    def __init__(self, task: DenseTask, data: DenseData, settings: EvaluationSettings, folder: RunFolder) -> None:
        self.task, self.folder, self.settings = task, folder, settings
        self.confusion = None if task.classes is None else Confusion(task)
        self.calibration = Calibration(task, settings.calibration_bins) if settings.calibration else None
        self.files: PredictionFiles | None = None
        if settings.save_predictions:
            coding = getattr(data.dataset("test"), "coding", None)
            self.files = PredictionFiles(folder.path / PREDICTIONS, task, coding, settings.prediction_labels)
        for name in ("per_class.csv", "confusion.csv", "confusion.npz", "confusion.png", "calibration.csv"):
            (folder.path / name).unlink(missing_ok=True)
        for file in (folder.path / PREDICTIONS).rglob("*.png"):
            file.unlink()

    @property
    def observers(self) -> list[Observer]:
        """What looks on."""
        return [one for one in (self.confusion, self.calibration, self.files) if one is not None]

    def metrics(self) -> dict[str, float]:
        """What is told among the metrics."""
        return {} if self.calibration is None else {ECE.key: self.calibration.reliability.error}

    def infos(self) -> list[MetricInfo]:
        """What these are."""
        return [] if self.calibration is None else [ECE]

    def write(self, per_class: Mapping[str, Sequence[float]]) -> dict[str, Any]:
        """Write the files; the entries of result.json.

        Args:
            per_class: values of each class, by key.
        """
        if self.confusion is not None:
            self._write_classes(self.confusion, per_class)
        if self.calibration is not None:
            write_atomic(self.folder.path / "calibration.csv", table_csv(self.calibration.rows()))
        if self.files is None:
            return {}
        labels = {} if self.files.values is None else {"labels": self.settings.prediction_labels}
        return {PREDICTIONS: {"folder": PREDICTIONS, **labels, "score": self.files.reading()}}

    def notes(self) -> list[str]:
        """Where things are, for whoever reads the terminal."""
        if self.files is None:
            return []
        reading = as_words(self.files.reading())
        how = f"; src.score reads them with {reading}" if reading else ""
        return [f"prediction files: {self.folder.path / PREDICTIONS}{how}"]

    def _write_classes(self, confusion: Confusion, per_class: Mapping[str, Sequence[float]]) -> None:
        path, names, counts = self.folder.path, confusion.classes.names, confusion.counts
        shares = by_row(counts)
        rows: list[dict[str, Any]] = [
            {
                "class": place,
                "name": name,
                **{key: values[place] for key, values in per_class.items()},
                "true_pixels": int(counts[place].sum()),
                "predicted_pixels": int(counts[:, place].sum()),
            }
            for place, name in enumerate(names)
        ]
        write_atomic(path / "per_class.csv", table_csv(rows))
        matrix = [
            {"truth": name, **dict(zip(_unique(names), row.tolist(), strict=True))}
            for name, row in zip(names, counts, strict=True)
        ]
        write_atomic(path / "confusion.csv", table_csv(matrix))
        content = io.BytesIO()
        np.savez_compressed(content, counts=counts, class_names=np.array(names))
        write_atomic(path / "confusion.npz", content.getvalue())
        save_png(path / "confusion.png", confusion_picture(shares, names))


def _unique(names: Sequence[str]) -> list[str]:
    """Names as headings of columns: one that is there twice, or is the first column's, gets its number."""
    taken = [name for name in names if list(names).count(name) > 1 or name == "truth"]
    return [f"{name} ({place})" if name in taken else name for place, name in enumerate(names)]


def described(task: DenseTask, more: Sequence[MetricInfo]) -> dict[str, Any]:
    """The entry metric_info of result.json: the description of the task's metrics, and of what is told among them."""
    found = task.metrics.describe()
    return {**found, "values": [*found["values"], *map(asdict, more)]}
