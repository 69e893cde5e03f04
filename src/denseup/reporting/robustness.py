"""What corruptions leave of an accuracy, upsampler by upsampler: a table of the first metric, a file of all."""

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from denseup.escaping import for_spreadsheets
from denseup.evaluation.robustness import MEAN
from denseup.metrics import MetricInfo
from denseup.reporting.cells import Cell, estimate_text
from denseup.reporting.group import REFERENCE, Group
from denseup.statistics import estimate, paired

NAMES = (
    *("upsampler", "corruption", "severity", "metric", "mean", "half_width", "n"),
    *("relative", "delta_mean", "delta_half_width", "delta_n"),
)
Place = tuple[str, Any]
"""A corruption and its severity, or MEAN."""


@dataclass(frozen=True)
class Corruptions:
    """A table.

    Args:
        title: for readers.
        caption: what its numbers are.
        columns: clean, each corruption, their mean, and that relative to clean images.
        rows: label, and a cell for each column.
    """

    title: str
    caption: str
    columns: Sequence[str]
    rows: Sequence[tuple[str, Sequence[Cell]]]


def corruption_table(group: Group) -> Corruptions | None:
    """The first metric under each corruption, mean over severities and seeds; None where the runs have none."""
    measure, places = group.measures[0], [place for place in _places(group) if place[1] in (0, MEAN)]
    if not places:
        return None
    columns = [_column(group, measure, place) for place in places] + [_relative(group, measure)]
    headings = [*(name.replace("_", " ") for name, _ in places), "mean ÷ clean, %"]
    rows = [(label, [column[label] for column in columns]) for label in group.members]
    caption = (
        f"{measure.heading}, the mean over severities; with several seeds their mean and its 95 % interval. The best "
        f"of each column is marked. Every upsampler sees the same corrupted images. {group.slug}_robustness.csv has "
        f"each severity, the other metrics, and differences to {REFERENCE} at equal seeds."
    )
    return Corruptions(f"{group.name}: under corruptions", caption, headings, rows)


def robustness_csv(group: Group) -> str:
    """A row for each upsampler, corruption, severity and metric, as computed; "" for runs without corruptions."""
    rows = [
        (for_spreadsheets(label), *place, measure.key, *_numbers(group, label, measure, place))
        for measure in group.measures
        for label in group.members
        for place in _places(group)
        if _values(group, label, measure.key, place)
    ]
    if not rows:
        return ""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerows([NAMES, *rows])
    return text.getvalue()


def _places(group: Group) -> list[Place]:
    found = (run.robustness for run in group.runs if run.robustness)
    return [(row["corruption"], row["severity"]) for row in next(found, ())]


def _values(group: Group, label: str, key: str, place: Place) -> dict[int, float]:
    """Seed → value, of the runs that have it."""
    found = {}
    for seed, run in group.members[label].items():
        for row in run.robustness:
            if (row["corruption"], row["severity"]) == place and row.get(key) is not None:
                found[seed] = row[key]
    return found


def _numbers(group: Group, label: str, measure: MetricInfo, place: Place) -> list[float | None]:
    """Mean, half width and number over seeds; the mean of it relative to clean; and of the difference."""
    values = _values(group, label, measure.key, place)
    relative = estimate(_values(group, label, f"{measure.key}_relative", place).values())
    delta = None
    if group.reference not in (None, label):
        assert group.reference is not None
        delta = paired(values, _values(group, group.reference, measure.key, place))
    numbers: list[float | None] = []
    for found in (estimate(values.values()), delta):
        numbers += [None, None, None] if found is None else [found.mean, found.half_width, found.n]
    return [*numbers[:3], None if relative is None else relative.mean, *numbers[3:]]


def _column(group: Group, measure: MetricInfo, place: Place) -> dict[str, Cell]:
    values = {label: _values(group, label, measure.key, place) for label in group.members}
    return _ranked({label: _cell(found, measure) for label, found in values.items()}, measure)


def _relative(group: Group, measure: MetricInfo) -> dict[str, Cell]:
    shares = replace(measure, scale=100, digits=1)
    key = f"{measure.key}_relative"
    return _ranked({label: _cell(_values(group, label, key, (MEAN, MEAN)), shares) for label in group.members}, shares)


def _cell(values: Mapping[int, float], measure: MetricInfo) -> Cell:
    found = estimate(values.values())
    if found is None:
        return Cell()
    scaled = found.scaled(measure.scale)
    return Cell(estimate_text(scaled, measure.digits), scaled.mean)


def _ranked(cells: Mapping[str, Cell], measure: MetricInfo) -> dict[str, Cell]:
    """With the best marked, if the direction is known and there are two."""
    known = [cell.value for cell in cells.values() if cell.value is not None]
    if measure.higher_is_better is None or len(known) < 2:
        return dict(cells)
    best = max(known) if measure.higher_is_better else min(known)
    return {label: replace(cell, rank=1) if cell.value == best else cell for label, cell in cells.items()}
