"""The report of a set of runs, written into a folder."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from denseup.reporting import evolution, html, plots, published, text
from denseup.reporting.costs import Cost, Count, MeasureCosts, Measurements, collect_costs
from denseup.reporting.evolution import Evolution, draw_evolution
from denseup.reporting.figures import Plot
from denseup.reporting.grouping import REFERENCE, Group, group_runs
from denseup.reporting.loading import Run
from denseup.reporting.panel import Example, caption, panel
from denseup.reporting.style import styles
from denseup.reporting.table import Table, build_table
from denseup.runs.folder import write_whole
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
    f"Published columns were not measured here: {published.SOURCE}. They come from other data or longer training, and "
    "are no yardstick for short runs.",
    "GFLOPs are 10⁹ multiply-adds of the whole network. An empty cell is a number that nobody has measured.",
)


@dataclass
class Part:
    """What the report says about one group."""

    group: Group
    costs: dict[str, Cost]
    table: Table
    notes: list[str]
    plots: list[Plot] = field(default_factory=list)
    examples: list[tuple[Example, Path]] = field(default_factory=list)
    evolution: Evolution | None = None


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
        for one in groups
        for other in groups
        if (one.task, other.task) == ("matting", "segmentation")
    ]
    known = [plot for plot in transfers if plot is not None]
    _write_tables(runs, parts, output)
    write_whole(output / "report.md", _markdown(runs, parts, known, left_out))
    write_whole(output / "report.html", _page(runs, parts, known, left_out, max_embedded))
    return output / "report.html"


def _part(
    group: Group, output: Path, count: Count | None, measure: MeasureCosts | None, predict: Predict | None
) -> Part:
    measured = measure(group) if measure else None
    costs, notes = collect_costs(group, count, measured)
    examples, missing = predict(group) if predict else ([], [])
    part = Part(group, costs, build_table(group, costs), [*_notes(group, measured), *notes, *missing])
    for i, example in enumerate(examples):
        file = output / "plots" / f"{group.name.replace(' ', '_')}_example_{i}.webp"
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
    shown = [label for label in group.members if label in published.ACCURACY.get(group.task, {})]
    if shown:
        notes += [f"Published columns: {published.SETTINGS[group.task]}.", *published.CAVEATS[group.task]]
    return notes


def _write_tables(runs: Sequence[Run], parts: Sequence[Part], output: Path) -> None:
    names = {id(run): part.group.name for part in parts for run in part.group.runs}
    write_whole(output / "runs.csv", text.csv_runs(runs, names))
    for part in parts:
        write_whole(output / f"{part.group.name.replace(' ', '_')}.csv", text.csv_table(part.table))


def _summary(runs: Sequence[Run], parts: Sequence[Part]) -> str:
    counted = sum(len(part.group.runs) for part in parts)
    several = len({part.group.task for part in parts}) < len(parts)
    return (
        f"{counted} of {len(runs)} runs count, in {len(parts)} group{'s' if len(parts) != 1 else ''}"
        f"{' of runs that may be compared; each has its own table' if several else ''}."
    )


def _settings(group: Group) -> list[str]:
    return [f"{name} = {value}" for name, value in group.settings.items()]


def _markdown(
    runs: Sequence[Run], parts: Sequence[Part], transfers: Sequence[Plot], left_out: Sequence[tuple[Run, str]]
) -> str:
    lines = [f"# {TITLE}", _summary(runs, parts)]
    for part in parts:
        lines += [f"## {part.group.name}", text.markdown_table(part.table).rstrip(), _list(part.notes)]
        lines += [f"![{plot.title}](plots/{plot.name}.png)\n\n{plot.caption}" for plot in part.plots]
        lines += [f"![{example.name}](plots/{file.name})" for example, file in part.examples]
        lines += _evolution_lines(part.evolution)
    lines += [f"## {plot.title}\n\n![{plot.title}](plots/{plot.name}.png)\n\n{plot.caption}" for plot in transfers]
    if left_out:
        rows = [
            f"`{run.source}` ({run.task}, {run.upsampler}, seed {run.seed}; {run.status}): {why}"
            for run, why in left_out
        ]
        lines += ["## Runs left out", _list(rows)]
    return "\n\n".join(line for line in [*lines, "## How to read this", _list(READING)] if line) + "\n"


def _evolution_lines(drawn: Evolution | None) -> list[str]:
    if drawn is None:
        return []
    pictures = [f"![{evolution.TITLE}]({file.parent.name}/{file.name})" for file in (drawn.sheet, drawn.gif)]
    return [f"### {evolution.TITLE}", drawn.caption, *pictures]


def _list(lines: Sequence[str]) -> str:
    return "\n".join(f"- {' '.join(line.split())}" for line in lines)


def _page(
    runs: Sequence[Run],
    parts: Sequence[Part],
    transfers: Sequence[Plot],
    left_out: Sequence[tuple[Run, str]],
    budget: int,
) -> str:
    # Animations get what all other pictures leave.
    moving = budget - sum(html.embedded_size(file) for part in parts for file in _stills(part))
    sections = []
    for part in parts:
        shown, budget, moving = _section(part, budget, moving)
        sections.append(shown)
    sections += [
        html.section(plot.title, [html.drawing(plot.title, plot.svg, plot.caption)], "both") for plot in transfers
    ]
    if left_out:
        note = html.paragraph("These runs are in no statistic.")
        sections.append(html.section("Runs left out", [note, html.run_table(left_out, "Runs left out", "why")]))
    counted = [(run, part.group.name) for part in parts for run in part.group.runs]
    every = html.folded(f"All {len(counted)} runs that count", html.run_table(counted, "Runs that count", "group"))
    sections.append(html.section("How to read this", [html.bullets(READING, ""), every]))
    tasks = list(dict.fromkeys(part.group.task for part in parts))
    return html.page(TITLE, _summary(runs, parts), tasks, sections)


def _section(part: Part, budget: int, moving: int) -> tuple[str, int, int]:
    """A group's section, and what is left of the bytes for pictures and for animations."""
    group = part.group
    seeds = sorted({seed for by_seed in group.members.values() for seed in by_seed})
    about = f"{group.name}: {len(group.runs)} runs, seed{'s' if len(seeds) > 1 else ''} {', '.join(map(str, seeds))}"
    parts = [html.comparison(part.table, about), html.bullets(part.notes)]
    parts.append(html.folded("Settings that all of these runs share", html.bullets(_settings(group))))
    parts.append(html.side_by_side([html.drawing(plot.title, plot.svg, plot.caption) for plot in part.plots]))
    if part.examples:
        parts += ["<h3>Predictions</h3>", html.paragraph(caption([e for e, _ in part.examples]), "note")]
    for example, file in part.examples:
        shown, used = html.picture(example.name, file, budget)
        budget -= used
        parts.append(shown)
    if part.evolution is not None:
        shown, used = html.picture(evolution.TITLE, part.evolution.sheet, budget)
        budget -= used
        parts += [f"<h3>{evolution.TITLE}</h3>", html.paragraph(part.evolution.caption, "note"), shown]
        shown, used = html.picture(f"{evolution.TITLE}, animated", part.evolution.gif, moving)
        moving -= used
        # Folded, so that nothing moves unless a reader asks for it.
        parts.append(html.folded("The same as an animation", shown))
    return html.section(group.name, parts, group.task), budget, moving


def _stills(part: Part) -> list[Path]:
    sheet = [] if part.evolution is None else [part.evolution.sheet]
    return [file for _, file in part.examples] + sheet
