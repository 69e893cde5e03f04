"""What a value of a metric is called, in which unit it is told, and which way is better: said once, for all tables."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any


@dataclass(frozen=True)
class MetricInfo:
    """One value of a metric, as tables, plots, pages and dashboards tell it.

    Args:
        key: its name in what `compute` returns, in metrics.csv, in result.json and in the loggers.
        name: for readers, without a unit.
        higher_is_better: the direction; None where it is not known, and nothing is marked.
        unit: of the value as it is computed, such as "10³".
        scale: printed value ÷ computed value; the published tables have per cent.
        printed_unit: of the printed value, such as "%".
        digits: of the printed value, behind the point.
    """

    key: str
    name: str
    higher_is_better: bool | None
    unit: str = ""
    scale: float = 1
    printed_unit: str = ""
    digits: int = 3

    @classmethod
    def read(cls, entry: Mapping[str, Any]) -> "MetricInfo":
        """The description that a result.json holds; what only another version knows is left out."""
        return cls(**{field.name: entry[field.name] for field in fields(cls) if field.name in entry})

    @classmethod
    def of_key(cls, key: str, mode: str | None = None) -> "MetricInfo":
        """A value that nobody has described; `mode` is "min" or "max" if at least that is known."""
        return cls(key, key, None if mode is None else mode == "max", digits=4)

    @property
    def mode(self) -> str:
        """What is better, in the words of optimizers: "min" or "max"."""
        return "max" if self.higher_is_better else "min"

    @property
    def in_per_cent(self) -> bool:
        """Whether it is printed in per cent, so that differences are told in points."""
        return self.printed_unit == "%"

    @property
    def title(self) -> str:
        """Name and unit of the printed value: "mIoU %"."""
        return f"{self.name} {self.printed_unit}".rstrip()

    @property
    def heading(self) -> str:
        """Title and direction: "mIoU % ↑"."""
        return f"{self.title} {self._arrow}".rstrip()

    @property
    def computed_title(self) -> str:
        """Name and unit of the value as it is computed: "SAD [10³]"."""
        return f"{self.name} [{self.unit}]" if self.unit else self.name

    @property
    def computed_heading(self) -> str:
        """The same with its direction: "SAD [10³] ↓"."""
        return f"{self.computed_title} {self._arrow}".rstrip()

    def gain(self, difference: float) -> float:
        """A difference, positive where it is an improvement."""
        return difference if self.higher_is_better else -difference

    @property
    def _arrow(self) -> str:
        return "" if self.higher_is_better is None else "↑" if self.higher_is_better else "↓"
