"""What is published about the accuracy of the upsamplers in a task."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class TaskAccuracy:
    """What a module of `denseup.reporting.published_accuracy` has as `ACCURACY`.

    Args:
        settings: what the numbers come from: data, network, unit.
        caveats: what a reader has to know about them.
        metrics: the columns of the rows.
        rows: upsampler → its values as printed, separated by blanks.
    """

    settings: str
    caveats: tuple[str, ...]
    metrics: tuple[str, ...]
    rows: Mapping[str, str]

    def value(self, upsampler: str, metric: str) -> str | None:
        """A value as printed, None where nothing was published."""
        row = self.rows.get(upsampler)
        return None if row is None else dict(zip(self.metrics, row.split(), strict=True)).get(metric)
