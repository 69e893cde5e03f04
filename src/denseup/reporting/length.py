"""Gain over the length of training: groups that differ in nothing else, side by side."""

import csv
import io
import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullLocator

from denseup.escaping import for_spreadsheets, slug_of
from denseup.metrics import MetricInfo
from denseup.reporting.cells import Cell, difference_text
from denseup.reporting.figures import Plot, look, save
from denseup.reporting.group import REFERENCE, Group
from denseup.reporting.style import INK, Styles
from denseup.statistics import Difference

STEPS = "recipe.max_steps"
LENGTH = (STEPS, "recipe.val_every", "trainer.max_steps", "trainer.val_check_interval")
"""The settings in which groups of one family may differ: how long they train, and when they evaluate."""
NAMES = ("upsampler", "steps", "gain_mean", "gain_half_width", "gain_n", "p_holm", "group")


@dataclass(frozen=True)
class Gain:
    """Over the reference at one length, as printed: positive where it is an improvement.

    Args:
        found: the gain.
        adjusted: its p-value after Holm's correction.
        holds: whether it stays after that.
        group: name of the runs.
    """

    found: Difference
    adjusted: float | None
    holds: bool
    group: str


@dataclass(frozen=True)
class Lengths:
    """A family of groups.

    Args:
        task: theirs.
        name: of its files, without the suffix.
        measure: the metric that is told.
        steps: the lengths, shortest first.
        gains: label → steps → gain; of labels at two lengths or more.
        plot: of them.
    """

    task: str
    name: str
    measure: MetricInfo
    steps: tuple[int, ...]
    gains: Mapping[str, Mapping[int, Gain]]
    plot: Plot

    @property
    def title(self) -> str:
        """For readers."""
        return self.plot.title

    @property
    def rows(self) -> list[tuple[str, list[Cell]]]:
        """Label, and a cell for each length."""
        return [(label, [self._cell(by_steps.get(n)) for n in self.steps]) for label, by_steps in self.gains.items()]

    def _cell(self, gain: Gain | None) -> Cell:
        if gain is None:
            return Cell()
        mean = gain.found.both.mean
        cell = Cell(difference_text(gain.found, self.measure.digits, "+"), mean)
        return replace(cell, verdict="better" if mean > 0 else "worse") if gain.holds else cell


def compare_lengths(groups: Sequence[Group], styles: Styles, folder: Path) -> list[Lengths]:
    """The families of groups that differ in the length of training alone, with their plots written into a folder."""
    found = []
    families = _families(groups)
    for number, family in enumerate(families, 1):
        measure = family[0].measures[0]
        by_length = {int(group.settings[STEPS]): group for group in reversed(family)}  # the larger one of two counts
        gains = _gains({steps: by_length[steps] for steps in sorted(by_length)}, measure)
        if gains and measure.higher_is_better is not None:
            several = sum(other[0].task == family[0].task for other in families) > 1
            name = f"{slug_of(family[0].task)}_length" + (f"_{number}" if several else "")
            plot = _draw(gains, measure, styles, folder, name, family[0].task)
            found.append(Lengths(family[0].task, name, measure, tuple(sorted(by_length)), gains, plot))
    return found


def length_csv(lengths: Lengths) -> str:
    """A row for each upsampler and length, at full precision."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(NAMES)
    for label, by_steps in lengths.gains.items():
        for steps, gain in by_steps.items():
            both = gain.found.both
            writer.writerow(
                [
                    for_spreadsheets(label),
                    steps,
                    both.mean,
                    both.half_width,
                    both.n,
                    gain.adjusted,
                    for_spreadsheets(gain.group),
                ]
            )
    return text.getvalue()


def _families(groups: Sequence[Group]) -> list[list[Group]]:
    """Groups of the same settings but for the length, and of the same evaluation, of at least two lengths."""
    found: dict[str, list[Group]] = defaultdict(list)
    for group in groups:
        if isinstance(group.settings.get(STEPS), int):
            shared = {name: value for name, value in group.settings.items() if name not in LENGTH}
            found[json.dumps([group.task, group.evaluation, shared], sort_keys=True, default=str)].append(group)
    return [family for family in found.values() if len({group.settings[STEPS] for group in family}) > 1]


def _gains(by_length: Mapping[int, Group], measure: MetricInfo) -> dict[str, dict[int, Gain]]:
    gains: dict[str, dict[int, Gain]] = defaultdict(dict)
    for steps, group in by_length.items():
        compared = group.compare(measure)
        for label, found in compared.differences.items():
            gain = found.scaled(measure.gain(measure.scale))
            gains[label][steps] = Gain(gain, compared.adjusted.get(label), compared.holds(label), group.name)
    return {label: gains[label] for label in sorted(gains) if len(gains[label]) > 1}


def _draw(
    gains: Mapping[str, Mapping[int, Gain]], measure: MetricInfo, styles: Styles, folder: Path, name: str, task: str
) -> Plot:
    unit = "points" if measure.in_per_cent else measure.name
    with look():
        figure = Figure(figsize=(6.2, 4 + 0.2 * (len(gains) // 3)))
        axes = figure.subplots()
        axes.axhline(0, color=INK, linewidth=0.8, alpha=0.6)
        for i, (label, by_steps) in enumerate(gains.items()):
            _draw_line(axes, label, by_steps, styles, 1.02 ** (i - (len(gains) - 1) / 2))
        steps = sorted({steps for by_steps in gains.values() for steps in by_steps})
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(FixedLocator(steps))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.set_xticklabels([f"{n:,}" for n in steps])
        axes.set(xlabel="steps of training", ylabel=f"{measure.name}: gain over {REFERENCE}, {unit}")
        figure.legend(loc="outside lower center", ncols=min(len(gains), 3), fontsize=8)
        svg = save(figure, folder, name)
    caption = (
        f"Each upsampler's gain over {REFERENCE} at equal seeds by the number of training steps, with its paired 95 % "
        "interval for other seeds and images. The groups differ in nothing but their length; points of one length are "
        "moved apart a little."
    )
    return Plot(name, f"{task}: gain in {measure.name} over the length of training", task, caption, svg)


def _draw_line(axes: Axes, label: str, by_steps: Mapping[int, Gain], styles: Styles, shift: float) -> None:
    style, points = styles[label], [(steps * shift, gain.found.both) for steps, gain in by_steps.items()]
    x, y = [steps for steps, _ in points], [both.mean for _, both in points]
    axes.errorbar(x, y, [both.half_width or 0 for _, both in points], fmt="none", ecolor=style.colour, alpha=0.45)
    axes.plot(x, y, style.line, color=style.colour, marker=style.marker, markersize=5, label=label)
