"""The comparison of a group as rows and columns, apart from how it is written down."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

from denseup.reporting.cells import Cell, Column, MakeCell
from denseup.reporting.costs import COUNT_SIZE, Cost
from denseup.reporting.group import Group
from denseup.reporting.metric_columns import metric_columns

COST = "cost"
"""Heading over the costs; the other columns stand under their metric's."""


@dataclass(frozen=True)
class Row:
    """An upsampler: its label, the seeds of its runs and its cells, one a column."""

    label: str
    seeds: tuple[int, ...]
    cells: tuple[Cell, ...]


@dataclass(frozen=True)
class Table:
    """The comparison of one group."""

    group: Group
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]

    def select(self, *keys: str) -> "Table":
        """The columns of these keys, in this order.

        Raises:
            ValueError: there is no such column; the message lists all.
        """
        known = {column.key: i for i, column in enumerate(self.columns)}
        if unknown := [key for key in keys if key not in known]:
            raise ValueError(f"keys has {', '.join(map(repr, unknown))}, valid: {', '.join(known)}")
        chosen = [known[key] for key in keys]
        rows = tuple(replace(row, cells=tuple(row.cells[i] for i in chosen)) for row in self.rows)
        return replace(self, columns=tuple(self.columns[i] for i in chosen), rows=rows)

    def filled(self) -> "Table":
        """Without the columns in which no row has a value."""
        kept = (column.key for i, column in enumerate(self.columns) if any(row.cells[i].text for row in self.rows))
        return self.select(*kept)

    def by_metric(self) -> list["Table"]:
        """A table for each metric, the first one with the costs: all at once are too wide for a page."""
        metrics = [name for name in dict.fromkeys(name for name, _ in self.sections) if name != COST]
        parts = [{name, COST} if name == metrics[0] else {name} for name in metrics]
        return [self.select(*(column.key for column in self.columns if column.section in part)) for part in parts]

    @property
    def sections(self) -> list[tuple[str, int]]:
        """The headings over the columns, and over how many each stands."""
        return [(name, len(list(part))) for name, part in groupby(self.columns, key=lambda column: column.section)]


def build_table(group: Group, costs: Mapping[str, Cost]) -> Table:
    """All columns of a group: its first metric, the costs, the other metrics; rows as in the group.

    Args:
        group: the runs.
        costs: label → cost.
    """
    main, *others = group.measures
    columns = [*metric_columns(group, main), *_cost_columns(costs)]
    for measure in others:
        columns += metric_columns(group, measure)
    cells = [_marked(column, [make(label) for label in group.members]) for column, make in columns]
    rows = [
        Row(label, tuple(by_seed), tuple(column[i] for column in cells))
        for i, (label, by_seed) in enumerate(group.members.items())
    ]
    return Table(group, tuple(column for column, _ in columns), tuple(rows))


def _cost_columns(costs: Mapping[str, Cost]) -> list[tuple[Column, MakeCell]]:
    def cost(name: str, pattern: str) -> MakeCell:
        def make(label: str) -> Cell:
            value = getattr(costs.get(label, Cost()), name)
            return Cell() if value is None else Cell(pattern.format(value), value, {"": value})

        return make

    return [
        (Column("params", COST, "parameters", "cost"), cost("params", "{:,}")),
        (Column("gflops", COST, f"GFLOPs at {COUNT_SIZE}²", "cost"), cost("gflops", "{:.3f}")),
        (Column("forward_ms", COST, "latency ms", "cost"), cost("forward_ms", "{:.1f}")),
        (Column("forward_peak_mib", COST, "memory MiB", "cost"), cost("forward_peak_mib", "{:.0f}")),
    ]


def _marked(column: Column, cells: Sequence[Cell]) -> list[Cell]:
    """With the best and the second best value marked, where there are several to choose from."""
    if column.higher_is_better is None:
        return list(cells)
    values = sorted({cell.value for cell in cells if cell.value is not None}, reverse=column.higher_is_better)
    if len(values) < 2:
        return list(cells)
    ranks = {value: rank for rank, value in enumerate(values[: 2 if len(values) > 2 else 1], 1)}
    return [cell if cell.value is None else replace(cell, rank=ranks.get(cell.value, 0)) for cell in cells]
