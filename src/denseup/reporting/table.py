"""The comparison of a group as rows and columns, apart from how it is written down."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Literal

from denseup.metrics import MetricInfo
from denseup.reporting.costs import COUNT_SIZE, Cost
from denseup.reporting.grouping import REFERENCE, Group
from denseup.reporting.published_accuracy import published_value
from denseup.statistics import Estimate, estimate, paired

Kind = Literal["measured", "published", "cost"]


@dataclass(frozen=True)
class Cell:
    """One number of the table.

    Args:
        text: as printed; empty where the value is not known.
        value: to sort by, None for an empty cell.
        estimate: the mean and its interval, where the number is one over seeds.
        rank: 1 for the best of its column, 2 for the second best, else 0.
        verdict: of a difference whose interval excludes zero.
    """

    text: str = ""
    value: float | None = None
    estimate: Estimate | None = None
    rank: int = 0
    verdict: Literal["", "better", "worse"] = ""


@dataclass(frozen=True)
class Column:
    """What stands above the cells.

    Args:
        key: in the CSV file.
        section: heading over several columns.
        title: the column's own heading.
        kind: where the numbers come from; kinds never share a column.
        higher_is_better: None where nothing is marked.
    """

    key: str
    section: str
    title: str
    kind: Kind
    higher_is_better: bool | None = None


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
    columns = [*_metric_columns(group, main), *_cost_columns(costs)]
    for measure in others:
        columns += _metric_columns(group, measure)
    cells = [_marked(column, [make(label) for label in group.members]) for column, make in columns]
    rows = [
        Row(label, tuple(by_seed), tuple(column[i] for column in cells))
        for i, (label, by_seed) in enumerate(group.members.items())
    ]
    return Table(group, tuple(column for column, _ in columns), tuple(rows))


def difference(group: Group, label: str, metric: str) -> Estimate | None:
    """Paired difference to the reference at the best evaluations, in units of result.json; None without both."""
    if label == REFERENCE or REFERENCE not in group.members:
        return None
    return paired(group.values(label, metric), group.values(REFERENCE, metric))


def estimate_text(found: Estimate, digits: int, sign: str = "") -> str:
    """`31.10 ± 0.21`, or `31.10 (n = 1)` for a single value."""
    mean = f"{found.mean:{sign}.{digits}f}"
    return f"{mean} (n = 1)" if found.half_width is None else f"{mean} ± {found.half_width:.{digits}f}"


MakeCell = Callable[[str], Cell]


def _metric_columns(group: Group, measure: MetricInfo) -> list[tuple[Column, MakeCell]]:
    def mean(evaluation: str) -> MakeCell:
        def make(label: str) -> Cell:
            found = estimate(group.values(label, measure.key, evaluation).values())
            return _estimate_cell(found, measure, len(group.members[label]))

        return make

    def delta(label: str) -> Cell:
        found = difference(group, label, measure.key)
        cell = _estimate_cell(found, measure, len(group.members[label]), sign="+")
        if found is None or not found.excludes_zero or measure.higher_is_better is None:
            return cell
        return replace(cell, verdict="better" if measure.gain(found.mean) > 0 else "worse")

    def published(label: str) -> Cell:
        text = published_value(group.task, label, measure.key)
        return Cell() if text is None else Cell(text, float(text))

    def column(suffix: str, title: str, kind: Kind, marked: bool) -> Column:
        direction = measure.higher_is_better if marked else None
        return Column(f"{measure.key}_{suffix}", measure.heading, title, kind, direction)

    columns: list[tuple[Column, MakeCell]] = [
        (column("best", "best", "measured", True), mean("best")),
        (column("delta", f"Δ {REFERENCE}", "measured", False), delta),
        (column("last", "last", "measured", True), mean("last")),
    ]
    if any(published(label).text for label in group.members):
        columns.append((column("published", "published", "published", True), published))
    return columns


def _estimate_cell(found: Estimate | None, measure: MetricInfo, runs: int, sign: str = "") -> Cell:
    if found is None:
        return Cell()
    found = found.scaled(measure.scale)
    fewer = f" (n = {found.n})" if 1 < found.n < runs else ""
    return Cell(estimate_text(found, measure.digits, sign) + fewer, found.mean, found)


def _cost_columns(costs: Mapping[str, Cost]) -> list[tuple[Column, MakeCell]]:
    def cost(name: str, pattern: str) -> MakeCell:
        def make(label: str) -> Cell:
            value = getattr(costs.get(label, Cost()), name)
            return Cell() if value is None else Cell(pattern.format(value), value)

        return make

    return [
        (Column("params", "cost", "parameters", "cost"), cost("params", "{:,}")),
        (Column("gflops", "cost", f"GFLOPs at {COUNT_SIZE}²", "cost"), cost("gflops", "{:.3f}")),
        (Column("forward_ms", "cost", "latency ms", "cost"), cost("forward_ms", "{:.1f}")),
        (Column("forward_peak_mib", "cost", "memory MiB", "cost"), cost("forward_peak_mib", "{:.0f}")),
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
