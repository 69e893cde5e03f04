"""The tables as Markdown and as CSV files."""

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from denseup.escaping import as_it_is, for_spreadsheets
from denseup.reporting.cells import Cell, Column
from denseup.reporting.group import BEST
from denseup.reporting.loading import Run
from denseup.reporting.measures import MEASURES, measures
from denseup.reporting.table import COST, Row, Table

MARKS = {0: "{}", 1: "**{}**", 2: "*{}*"}
ARROWS = {"": "", "better": " ▲", "worse": " ▼"}
RUN_COLUMNS = ("task", "upsampler", "seed", "status", "group", "params", "source", "error")


def markdown_table(table: Table) -> str:
    """A row an upsampler; the best value of a column bold, the second best italic."""
    table = table.filled()
    header = ["upsampler", "runs", *map(_heading, table.columns)]
    return markdown_rows(
        header, ([as_it_is(row.label), str(len(row.seeds)), *map(marked, row.cells)] for row in table.rows)
    )


def markdown_rows(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table of Markdown; the first column is flush left."""
    lines = [header, [":---", *["---:"] * (len(header) - 1)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def marked(cell: Cell) -> str:
    """A cell's text with its marks."""
    return MARKS[cell.rank].format(cell.text) + ARROWS[cell.verdict] if cell.text else ""


def csv_table(table: Table) -> str:
    """The same at full precision: of each number its parts, such as mean, half width of the interval and count."""
    names: list[str] = ["upsampler", "runs", "seeds"]
    for column in table.columns:
        names += column.names
    return _csv(names, (_csv_row(table.columns, row) for row in table.rows))


def csv_runs(runs: Sequence[Run], groups: Mapping[int, str]) -> str:
    """Every run, whether it counts or not.

    Args:
        runs: all that were read.
        groups: id of a run → name of the group that it counts in.
    """
    known = [measure for measures in MEASURES.values() for measure in measures]
    metrics = list(dict.fromkeys(measure.key for measure in (*known, *measures(runs))))
    evaluations = list(dict.fromkeys([BEST, "last", *(kind for run in runs for kind in run.metrics)]))
    names = [*RUN_COLUMNS, *(f"{which}_{name}" for name in ("step", *metrics) for which in evaluations)]
    return _csv(names, (_run_row(run, groups.get(id(run), "")) for run in runs))


def _heading(column: Column) -> str:
    return as_it_is(f"{column.section}: {column.title}" if column.section != COST else column.title)


def _csv_row(columns: Sequence[Column], row: Row) -> dict[str, Any]:
    values: dict[str, Any] = {
        "upsampler": row.label,
        "runs": len(row.seeds),
        "seeds": " ".join(map(str, row.seeds)),
    }
    for column, cell in zip(columns, row.cells, strict=True):
        values |= {name: cell.parts.get(part) for name, part in zip(column.names, column.parts, strict=True)}
    return values


def _run_row(run: Run, group: str) -> dict[str, Any]:
    values: dict[str, Any] = {"group": group} | {n: getattr(run, n) for n in RUN_COLUMNS if n != "group"}
    for which, metrics in run.metrics.items():
        values |= {f"{which}_{name}": value for name, value in metrics.items()}
    return values


def _csv(names: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, names, extrasaction="ignore", lineterminator="\n")
    writer.writerow({name: for_spreadsheets(name) for name in names})
    writer.writerows({name: for_spreadsheets(value) for name, value in row.items()} for row in rows)
    return text.getvalue()
