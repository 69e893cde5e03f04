"""What the metrics of every task share: the description of their values, and what is known of each image."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any, ClassVar

import torch
from torch import Tensor
from torchmetrics import Metric

from denseup.metrics.description import MetricInfo


class DenseMetrics(Metric):
    """A metric of several values, accumulated over images, that says what they are and keeps those of each image.

    A subclass names its values in `values`, returns them by key from `compute`, and gives each image's to `keep`. If a
    value of the data set is no mean of these but comes from sums over images, it gives those to `keep_counts`.
    """

    values: ClassVar[tuple[MetricInfo, ...]]
    """What `compute` returns. The first one stands for all: it picks the best evaluation of a run."""
    class_values: ClassVar[tuple[MetricInfo, ...]] = ()
    """What there is of each class, for a metric of classes."""
    looks_before_rounding: ClassVar[bool] = False
    """Whether it wants predictions in floating point, where a task rounds them."""

    def __init__(self) -> None:
        super().__init__()
        self._kept: dict[str, list[float]] = {}
        self._counts: dict[str, list[Tensor]] = {}

    def keep(self, values: Mapping[str, Sequence[float]]) -> None:
        """Note down the values of the images that are being added, by key; NaN for one that an image has not."""
        for key, column in values.items():
            self._kept.setdefault(key, []).extend(column)

    def keep_counts(self, counts: Mapping[str, Sequence[Tensor]]) -> None:
        """Note down the sums of the images that are being added, by key of the value that comes from them.

        The value of a data set is the mean over classes of (sum of parts) / (sum of wholes), over those that have any.

        Args:
            counts: key → (parts, wholes) of each image, int32 `[2, classes]`.
        """
        for key, rows in counts.items():
            self._counts.setdefault(key, []).extend(rows)

    def counts(self) -> dict[str, Tensor]:
        """What `keep_counts` was given, by key, int32 `[images, 2, classes]`; {} for a metric of means over images."""
        return {key: torch.stack(rows) for key, rows in self._counts.items()}

    def per_image(self) -> dict[str, Tensor]:
        """Values of each image by key, float64 [images], in the order in which this process added them."""
        return {key: torch.tensor(column, dtype=torch.float64) for key, column in self._kept.items()}

    def describe(self) -> dict[str, list[dict[str, Any]]]:
        """The description of all values, as it stands in result.json: "values", and "class_values" if there are any."""
        described = {"values": self.values, "class_values": self.class_values}
        return {kind: [asdict(info) for info in infos] for kind, infos in described.items() if infos}

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Add images and return their own value. For it torchmetrics starts afresh, and puts back its own states."""
        before, counts_before = self._kept, self._counts
        self._kept, self._counts = {}, {}
        value = super().forward(*args, **kwargs)
        added, counts = self._kept, self._counts
        self._kept, self._counts = before, counts_before
        self.keep(added)
        self.keep_counts(counts)
        return value

    def reset(self) -> None:
        """Forget all images."""
        super().reset()
        self._kept, self._counts = {}, {}
