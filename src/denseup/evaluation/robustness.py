"""How much of an accuracy survives corruptions: each metric at each of them, its means, and relative to clean images.

As the mean corruption error of Hendrycks and Dietterich (ICLR 2019), but for what it is relative to: their errors are
divided by another network's, here each value by the same network's on clean images.
"""

import csv
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from denseup.metrics import MetricInfo

Values = Mapping[str, float]
MEAN = "mean"


@dataclass(frozen=True)
class Robustness:
    """What was measured.

    Args:
        clean: the metrics without a corruption.
        corrupted: (name, severity) → the same metrics under it.
        infos: of the metrics, the first one standing for the task.
    """

    clean: Values
    corrupted: Mapping[tuple[str, int], Values]
    infos: Sequence[MetricInfo]

    def mean(self, key: str, corruption: str | None = None) -> float:
        """Of a metric over severities, and over corruptions if none is named; NaN if one of the values is."""
        found = [values[key] for (name, _), values in self.corrupted.items() if corruption in (None, name)]
        return math.fsum(found) / len(found)

    def relative(self, key: str, value: float) -> float:
        """To the clean value; NaN where that is 0."""
        clean = self.clean[key]
        return value / clean if clean else math.nan

    def summary(self) -> dict[str, float]:
        """KEY_corrupted: the mean of each metric; KEY_relative: that of the first one relative to its clean value."""
        first = self.infos[0].key
        means = {f"{info.key}_corrupted": self.mean(info.key) for info in self.infos}
        return means | {f"{first}_relative": self.relative(first, self.mean(first))}

    def summary_infos(self) -> list[MetricInfo]:
        """What these are, for tables."""
        means = [replace(info, key=f"{info.key}_corrupted", name=f"{info.name}, corrupted") for info in self.infos]
        first = self.infos[0]
        name = f"{first.name}, corrupted ÷ clean"
        ratio = MetricInfo(f"{first.key}_relative", name, first.higher_is_better, scale=100, printed_unit="%", digits=1)
        return [*means, ratio]

    def rows(self) -> list[dict[str, Any]]:
        """corruption, severity, each metric, and KEY_relative; clean first, then each corruption with its mean."""
        rows = [self._row("clean", 0, self.clean)]
        for name in dict.fromkeys(name for name, _ in self.corrupted):
            rows += [self._row(name, at, values) for (other, at), values in self.corrupted.items() if other == name]
            rows.append(self._row(name, MEAN, {info.key: self.mean(info.key, name) for info in self.infos}))
        return [*rows, self._row(MEAN, MEAN, {info.key: self.mean(info.key) for info in self.infos})]

    def _row(self, name: str, severity: int | str, values: Values) -> dict[str, Any]:
        relative = {f"{info.key}_relative": self.relative(info.key, values[info.key]) for info in self.infos}
        return {"corruption": name, "severity": severity, **{i.key: values[i.key] for i in self.infos}, **relative}


def summary_keys(infos: Sequence[MetricInfo]) -> list[str]:
    """Keys of `Robustness.summary` for these metrics."""
    return [*(f"{info.key}_corrupted" for info in infos), f"{infos[0].key}_relative"]


def table_csv(rows: Sequence[Mapping[str, Any]]) -> str:
    """Rows of the same columns as a CSV file at full precision; NaN is an empty cell."""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    for row in rows:
        writer.writerow({k: "" if isinstance(v, float) and math.isnan(v) else v for k, v in row.items()})
    return text.getvalue()
