"""The report as Markdown, with its plots and pictures as files beside it."""

from collections.abc import Iterable

from denseup.escaping import alternative, as_it_is, code
from denseup.reporting import feature_evolution
from denseup.reporting.content import Content, Part
from denseup.reporting.feature_evolution import Evolution
from denseup.reporting.figures import Plot
from denseup.reporting.length import Lengths
from denseup.reporting.robustness import Corruptions
from denseup.reporting.text import markdown_rows, markdown_table, marked


def markdown(content: Content) -> str:
    """The whole report."""
    lines = [f"# {content.title}", as_it_is(content.summary)]
    for part in content.parts:
        lines += _part_lines(part)
    for lengths in content.lengths:
        lines += _length_lines(lengths)
    for plot in content.transfers:
        lines.append(f"## {as_it_is(plot.title)}\n\n{_drawn(plot)}")
    if content.left_out:
        rows = [
            f"{code(str(run.source))} "
            + as_it_is(f"({run.task}, {run.upsampler}, seed {run.seed}; {run.status}): {why}")
            for run, why in content.left_out
        ]
        lines += ["## Runs left out", _list(rows)]
    return "\n\n".join(line for line in [*lines, "## How to read this", _list(content.reading)] if line) + "\n"


def _part_lines(part: Part) -> list[str]:
    tables = [markdown_table(table).rstrip() for table in part.table.by_metric()]
    lines = [f"## {as_it_is(part.group.name)}", *tables, as_it_is(part.limits)]
    if part.findings:
        lines += ["What these runs support:", _list(map(as_it_is, part.findings))]
    lines.append("Notes:" if part.findings else "")
    lines.append(_list(map(as_it_is, part.notes)))
    lines += _corruption_lines(part.corruptions)
    lines += map(_drawn, part.plots)
    lines += [f"![{alternative(example.name)}](plots/{file.name})" for example, file in part.examples]
    return lines + _evolution_lines(part.evolution)


def _length_lines(lengths: Lengths) -> list[str]:
    rows = [(as_it_is(label), *map(marked, cells)) for label, cells in lengths.rows]
    table = markdown_rows(["upsampler", *(f"{steps:,} steps" for steps in lengths.steps)], rows)
    return [f"## {as_it_is(lengths.title)}", table.rstrip(), _drawn(lengths.plot)]


def _corruption_lines(found: Corruptions | None) -> list[str]:
    if found is None:
        return []
    rows = [(as_it_is(label), *map(marked, cells)) for label, cells in found.rows]
    header = ["upsampler", *map(as_it_is, found.columns)]
    return [f"### {as_it_is(found.title)}", as_it_is(found.caption), markdown_rows(header, rows).rstrip()]


def _evolution_lines(drawn: Evolution | None) -> list[str]:
    if drawn is None:
        return []
    files = (drawn.sheet, drawn.animation)
    pictures = [f"![{feature_evolution.TITLE}]({file.parent.name}/{file.name})" for file in files]
    return [f"### {feature_evolution.TITLE}", as_it_is(drawn.caption), *pictures]


def _drawn(plot: Plot) -> str:
    return f"![{alternative(plot.title)}](plots/{plot.name}.png)\n\n{as_it_is(plot.caption)}"


def _list(lines: Iterable[str]) -> str:
    return "\n".join(f"- {line}" for line in lines)
