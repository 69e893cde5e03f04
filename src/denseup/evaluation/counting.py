"""What an evaluation counts beside its metrics: which class is taken for which, and how sure predictions are."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from torch import Tensor

from denseup.metrics import MetricInfo
from denseup.metrics.functional.calibration import Reliability, reliability
from denseup.metrics.functional.confusion import confusion
from denseup.metrics.functional.inputs import Int64
from denseup.tasks import DenseTask
from denseup.tasks.watched import Batch

ECE = MetricInfo("ece", "ECE", False, scale=100, printed_unit="%", digits=2)


class Confusion:
    """Pixels of each true class (row) by predicted class (column), added up over images: `counts`, int64 [n, n]."""

    def __init__(self, task: DenseTask) -> None:
        assert task.classes is not None
        self.task, self.classes = task, task.classes
        number = len(self.classes.names)
        self.counts: Int64 = np.zeros((number, number), np.int64)

    def __call__(self, batch: Batch, prediction: Tensor, views: Sequence[Tensor]) -> None:
        """Add a batch of one image."""
        truth = self.task.target(batch)
        self.counts += confusion(prediction[0], truth, len(self.counts), self.classes.ignore_index)


class Calibration:
    """Pixels by the confidence in their class, added up over images: `reliability`."""

    def __init__(self, task: DenseTask, bins: int) -> None:
        assert task.classes is not None
        self.task, self.ignore_index, self.bins = task, task.classes.ignore_index, bins
        self.reliability = Reliability(np.zeros(bins, np.int64), np.zeros(bins, np.int64), np.zeros(bins))

    def __call__(self, batch: Batch, prediction: Tensor, views: Sequence[Tensor]) -> None:
        """Add a batch of one image."""
        sure = self.task.confidence(views, batch)
        assert sure is not None, "the settings were checked with the task"
        found = reliability(sure[0], prediction[0], self.task.target(batch), self.ignore_index, self.bins)
        known = self.reliability
        self.reliability = Reliability(
            known.pixels + found.pixels, known.right + found.right, known.confidence + found.confidence
        )

    def rows(self) -> list[dict[str, Any]]:
        """Each bin: above, up_to, pixels, confidence, accuracy; NaN in an empty one."""
        found = self.reliability
        columns = zip(found.pixels.tolist(), found.mean_confidence.tolist(), found.accuracy.tolist(), strict=True)
        return [
            {"above": i / self.bins, "up_to": (i + 1) / self.bins, "pixels": n, "confidence": sure, "accuracy": right}
            for i, (n, sure, right) in enumerate(columns)
        ]
