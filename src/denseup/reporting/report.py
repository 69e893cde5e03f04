"""The report of a set of runs, written into a folder."""

from collections.abc import Callable, Sequence
from itertools import combinations
from pathlib import Path

from denseup.engine.folder import write_atomic
from denseup.locking import locked
from denseup.reporting import html, plots
from denseup.reporting.classes import class_csv
from denseup.reporting.content import Content, Part
from denseup.reporting.costs import Count, MeasureCosts, collect_costs
from denseup.reporting.feature_evolution import draw_evolution
from denseup.reporting.findings import findings, limits
from denseup.reporting.group import Group
from denseup.reporting.grouping import group_runs
from denseup.reporting.length import compare_lengths, length_csv
from denseup.reporting.loading import Run
from denseup.reporting.markdown import markdown
from denseup.reporting.notes import group_notes
from denseup.reporting.panel import Example, panel
from denseup.reporting.reading import READING, TITLE
from denseup.reporting.robustness import corruption_table, robustness_csv
from denseup.reporting.style import styles
from denseup.reporting.table import build_table
from denseup.reporting.text import csv_runs, csv_table
from denseup.visualization import save_webp
from denseup.writing import check_writable, staged

PAGE = "report.html"

Predict = Callable[[Group], tuple[list[Example], list[str]]]
"""group → examples with the predictions of its upsamplers, and notes on what is missing and why."""


def write_report(
    runs: Sequence[Run],
    output: Path,
    *,
    evaluation: str | None = None,
    count: Count | None = None,
    measure: MeasureCosts | None = None,
    predict: Predict | None = None,
    max_embedded: int = html.MAX_EMBEDDED,
) -> Path:
    """Write report.html, report.md, plots/, features/, runs.csv, and CSV files of groups, classes, corruptions, length.

    Args:
        runs: finished or not.
        output: folder, made if need be.
        evaluation: which of each run's is told, see `group_runs`.
        count: see `collect_costs`.
        measure: gives latency and memory of a group's networks; None leaves them out.
        predict: makes the examples of the qualitative panel; None leaves it out.
        max_embedded: bytes of pictures that the page may hold; those beyond are linked.

    An earlier report in the folder stays as it was until this one is whole; of two processes one waits for the other.

    Returns:
        The page's path.

    Raises:
        ValueError: no run has this evaluation.
        WriteError: the folder can't be written to.
    """
    groups, left_out = group_runs(runs, evaluation)
    check_writable(output)
    with locked(output / ".lock", wait=True), staged(output, last=PAGE) as stage:
        parts = [_part(group, stage, count, measure, predict) for group in groups]
        _write(runs, parts, left_out, stage, max_embedded)
    return output / PAGE


def _write(
    runs: Sequence[Run], parts: Sequence[Part], left_out: Sequence[tuple[Run, str]], output: Path, max_embedded: int
) -> None:
    groups = [part.group for part in parts]
    looks = styles(label for group in groups for label in group.members)
    for part in parts:
        drawn = [
            plots.accuracy_against_cost(part.group, part.costs, looks, output / "plots"),
            plots.training_curves(part.group, looks, output / "plots"),
            plots.class_differences(part.group, output / "plots"),
        ]
        part.plots = [plot for plot in drawn if plot is not None]
    transfers = [
        plots.task_transfer(one, other, looks, output / "plots")
        for one, other in combinations(groups, 2)
        if one.task != other.task
    ]
    known = [plot for plot in transfers if plot is not None]
    lengths = compare_lengths(groups, looks, output / "plots")
    content = Content(TITLE, READING, runs, parts, lengths, known, left_out)
    _write_tables(content, output)
    write_atomic(output / "report.md", markdown(content))
    write_atomic(output / PAGE, html.page(content, max_embedded))


def _part(
    group: Group, output: Path, count: Count | None, measure: MeasureCosts | None, predict: Predict | None
) -> Part:
    measured = measure(group) if measure else None
    costs, notes = collect_costs(group, count, measured)
    examples, missing = predict(group) if predict else ([], [])
    part = Part(group, costs, build_table(group, costs), [*group_notes(group, measured), *notes, *missing])
    part.findings, part.limits = findings(group), limits(group)
    part.corruptions = corruption_table(group)
    for i, example in enumerate(examples):
        file = output / "plots" / f"{group.slug}_example_{i}.webp"
        save_webp(file, panel(example))
        part.examples.append((example, file))
    part.evolution = draw_evolution(group, output / "features")
    return part


def _write_tables(content: Content, output: Path) -> None:
    names = {id(run): name for run, name in content.counted}
    write_atomic(output / "runs.csv", csv_runs(content.runs, names))
    for part in content.parts:
        write_atomic(output / f"{part.group.slug}.csv", csv_table(part.table))
        if of_classes := class_csv(part.group):
            write_atomic(output / f"{part.group.slug}_classes.csv", of_classes)
        if corrupted := robustness_csv(part.group):
            write_atomic(output / f"{part.group.slug}_robustness.csv", corrupted)
    for lengths in content.lengths:
        write_atomic(output / f"{lengths.name}.csv", length_csv(lengths))
