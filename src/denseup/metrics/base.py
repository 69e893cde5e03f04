"""What the metrics of every task share: the description of their values, and the values of each image."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any, ClassVar

import torch
from torch import Tensor
from torchmetrics import Metric

from denseup.metrics.description import MetricInfo


class DenseMetrics(Metric):
    """A metric of several values, accumulated over images, that says what they are and keeps those of each image.

    A subclass names its values in `values`, returns them by key from `compute`, and gives each image's to `keep`.
    """

    values: ClassVar[tuple[MetricInfo, ...]]
    """What `compute` returns. The first one stands for all: it picks the best evaluation of a run."""
    class_values: ClassVar[tuple[MetricInfo, ...]] = ()
    """What there is of each class, for a metric of classes."""

    def __init__(self) -> None:
        super().__init__()
        self._kept: dict[str, list[float]] = {}

    def keep(self, values: Mapping[str, Sequence[float]]) -> None:
        """Note down the values of the images that are being added, by key; NaN for one that an image has not."""
        for key, column in values.items():
            self._kept.setdefault(key, []).extend(column)

    def per_image(self) -> dict[str, Tensor]:
        """Values of each image by key, float64 [images], in the order in which this process added them."""
        return {key: torch.tensor(column, dtype=torch.float64) for key, column in self._kept.items()}

    def describe(self) -> dict[str, list[dict[str, Any]]]:
        """The description of all values, as it stands in result.json: "values", and "class_values" if there are any."""
        described = {"values": self.values, "class_values": self.class_values}
        return {kind: [asdict(info) for info in infos] for kind, infos in described.items() if infos}

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Add images and return their own value. For it torchmetrics starts afresh, and puts back its own states."""
        before, self._kept = self._kept, {}
        value = super().forward(*args, **kwargs)
        added, self._kept = self._kept, before
        self.keep(added)
        return value

    def reset(self) -> None:
        """Forget all images."""
        super().reset()
        self._kept = {}
