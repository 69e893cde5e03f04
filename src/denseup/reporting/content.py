"""What a report says, apart from how it is written down."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from denseup.reporting.costs import Cost
from denseup.reporting.feature_evolution import Evolution
from denseup.reporting.figures import Plot
from denseup.reporting.group import Group
from denseup.reporting.length import Lengths
from denseup.reporting.loading import Run
from denseup.reporting.panel import Example
from denseup.reporting.robustness import Corruptions
from denseup.reporting.table import Table


@dataclass
class Part:
    """What the report says about one group: its table, the findings in it, and the limits of what it could show."""

    group: Group
    costs: dict[str, Cost]
    table: Table
    notes: list[str]
    findings: list[str] = field(default_factory=list)
    limits: str = ""
    plots: list[Plot] = field(default_factory=list)
    examples: list[tuple[Example, Path]] = field(default_factory=list)
    evolution: Evolution | None = None
    corruptions: Corruptions | None = None


@dataclass(frozen=True)
class Content:
    """The whole report.

    Args:
        title: of it.
        reading: how to read it, a remark each.
        runs: all that were read.
        parts: one for each group.
        lengths: one for each family of groups that differ in their length alone.
        transfers: plots of several tasks.
        left_out: runs in no statistic, and why.
    """

    title: str
    reading: Sequence[str]
    runs: Sequence[Run]
    parts: Sequence[Part]
    lengths: Sequence[Lengths]
    transfers: Sequence[Plot]
    left_out: Sequence[tuple[Run, str]]

    @property
    def counted(self) -> list[tuple[Run, str]]:
        """The runs in the statistics, each with the name of its group."""
        return [(run, part.group.name) for part in self.parts for run in part.group.runs]

    @property
    def tasks(self) -> list[str]:
        """Those of the groups, each once."""
        return list(dict.fromkeys(part.group.task for part in self.parts))

    @property
    def summary(self) -> str:
        """How many runs count, in a sentence."""
        groups = len(self.parts)
        several = len(self.tasks) < groups
        return (
            f"{len(self.counted)} of {len(self.runs)} runs count, in {groups} group{'s' if groups != 1 else ''}"
            f"{' of runs that may be compared; each has its own table' if several else ''}."
        )
