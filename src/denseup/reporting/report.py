"""The report of a set of runs, written into a folder."""

from collections.abc import Callable, Iterable, Sequence
from itertools import combinations
from pathlib import Path

from denseup.engine.folder import write_atomic
from denseup.reporting import feature_evolution, html, plots, text
from denseup.reporting.content import Content, Part
from denseup.reporting.costs import Count, MeasureCosts, Measurements, collect_costs
from denseup.reporting.feature_evolution import Evolution, draw_evolution
from denseup.reporting.group import REFERENCE, Group
from denseup.reporting.grouping import group_runs
from denseup.reporting.loading import Run
from denseup.reporting.panel import Example, panel
from denseup.reporting.published_accuracy import SOURCE, published_notes
from denseup.reporting.style import styles
from denseup.reporting.table import build_table
from denseup.visualization import save_webp

Predict = Callable[[Group], tuple[list[Example], list[str]]]
"""group → examples with the predictions of its upsamplers, and notes on what is missing and why."""

TITLE = "Comparison of feature upsamplers"
READING = (
    "A number is the mean over the runs of an upsampler, which differ in the seed alone, ± the half width of its 95 % "
    "interval (Student's t). A single run has no interval and is marked n = 1.",
    f"Δ {REFERENCE} is the mean difference at equal seeds, with the interval of the paired differences. ▲ and ▼ mark a "
    "gain or a loss whose interval excludes zero. The intervals are not corrected for how many there are: of twenty "
    "comparisons without a true difference, one would be expected to be marked.",
    "best: at each run's best evaluation, chosen by the task's first metric on the same validation data, hence "
    "optimistic; last: at its last evaluation.",
    "The best value of a column is bold on green, the second best underlined.",
    f"Published columns were not measured here: {SOURCE}. They come from other data or longer training, and "
    "are no yardstick for short runs.",
    "GFLOPs are 10⁹ multiply-adds of the whole network. An empty cell is a number that nobody has measured.",
)


def write_report(
    runs: Sequence[Run],
    output: Path,
    *,
    count: Count | None = None,
    measure: MeasureCosts | None = None,
    predict: Predict | None = None,
    max_embedded: int = html.MAX_EMBEDDED,
) -> Path:
    """Write report.html, report.md, a CSV file for each group, runs.csv, plots/ and features/ into `output`.

    Args:
        runs: finished or not.
        output: folder, made if need be.
        count: see `collect_costs`.
        measure: gives latency and memory of a group's networks; None leaves them out.
        predict: makes the examples of the qualitative panel; None leaves it out.
        max_embedded: bytes of pictures that the page may hold; those beyond are linked.

    Returns:
        The page's path.
    """
    groups, left_out = group_runs(runs)
    parts = [_part(group, output, count, measure, predict) for group in groups]
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
    _write_tables(runs, parts, output)
    content = Content(TITLE, READING, runs, parts, known, left_out)
    write_atomic(output / "report.md", _markdown(content))
    write_atomic(output / "report.html", html.page(content, max_embedded))
    return output / "report.html"


def _part(
    group: Group, output: Path, count: Count | None, measure: MeasureCosts | None, predict: Predict | None
) -> Part:
    measured = measure(group) if measure else None
    costs, notes = collect_costs(group, count, measured)
    examples, missing = predict(group) if predict else ([], [])
    part = Part(group, costs, build_table(group, costs), [*_notes(group, measured), *notes, *missing])
    for i, example in enumerate(examples):
        file = output / "plots" / f"{group.slug}_example_{i}.webp"
        save_webp(file, panel(example))
        part.examples.append((example, file))
    part.evolution = draw_evolution(group, output / "features")
    return part


def _notes(group: Group, measured: Measurements | None) -> list[str]:
    """What a reader has to know about this group's numbers."""
    notes = [f"Differs from the first group, so it is not compared with it: {line}" for line in group.differences]
    if REFERENCE not in group.members:
        notes.append(f"No finished run of {REFERENCE}: there are no differences to it.")
    if any(len(by_seed) == 1 for by_seed in group.members.values()):
        notes.append("Upsamplers with one run have no interval; differences of that size may be chance.")
    versions = {tuple(sorted(run.versions.items())) for run in group.runs if run.versions}
    names = sorted({name for one in versions for name, _ in set(one) ^ set(next(iter(versions)))})
    if names:
        notes.append(f"The runs were made with different versions of {', '.join(names)}.")
    if measured is not None:
        notes.append(f"Latency and memory: inference, {measured.conditions}.")
    notes += published_notes(group.task, group.members)
    return notes


def _write_tables(runs: Sequence[Run], parts: Sequence[Part], output: Path) -> None:
    names = {id(run): part.group.name for part in parts for run in part.group.runs}
    write_atomic(output / "runs.csv", text.csv_runs(runs, names))
    for part in parts:
        write_atomic(output / f"{part.group.slug}.csv", text.csv_table(part.table))


def _markdown(content: Content) -> str:
    lines = [f"# {content.title}", content.summary]
    for part in content.parts:
        notes = _list(map(text.as_it_is, part.notes))
        lines += [f"## {part.group.name}", text.markdown_table(part.table).rstrip(), notes]
        lines += [f"![{plot.title}](plots/{plot.name}.png)\n\n{plot.caption}" for plot in part.plots]
        lines += [f"![{text.as_it_is(example.name)}](plots/{file.name})" for example, file in part.examples]
        lines += _evolution_lines(part.evolution)
    for plot in content.transfers:
        lines.append(f"## {plot.title}\n\n![{plot.title}](plots/{plot.name}.png)\n\n{plot.caption}")
    if content.left_out:
        rows = [
            f"`{run.source}` ({run.task}, {run.upsampler}, seed {run.seed}; {run.status}): {text.as_it_is(why)}"
            for run, why in content.left_out
        ]
        lines += ["## Runs left out", _list(rows)]
    return "\n\n".join(line for line in [*lines, "## How to read this", _list(content.reading)] if line) + "\n"


def _evolution_lines(drawn: Evolution | None) -> list[str]:
    if drawn is None:
        return []
    pictures = [f"![{feature_evolution.TITLE}]({file.parent.name}/{file.name})" for file in (drawn.sheet, drawn.gif)]
    return [f"### {feature_evolution.TITLE}", drawn.caption, *pictures]


def _list(lines: Iterable[str]) -> str:
    return "\n".join(f"- {line}" for line in lines)
