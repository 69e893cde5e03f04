"""The plots of a report: accuracy against cost, training curves, task transfer, and differences by class."""

import math
import statistics
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from denseup.metrics import MetricInfo
from denseup.reporting.classes import class_difference, class_names
from denseup.reporting.costs import COUNT_SIZE, Cost
from denseup.reporting.figures import Plot, draw_point, label_points, look, save
from denseup.reporting.group import REFERENCE, Group
from denseup.reporting.measures import class_measures
from denseup.reporting.style import INK, Styles
from denseup.reporting.transfer import task_transfer
from denseup.statistics import estimate

__all__ = ["accuracy_against_cost", "class_differences", "pareto_front", "task_transfer", "training_curves"]

COST_AXES = {
    "gflops": f"GFLOPs at {COUNT_SIZE}×{COUNT_SIZE}",
    "params": "parameters",
    "forward_ms": "latency, ms",
}
MAX_CLASSES = 20
LEGEND_COLUMNS = 4


def accuracy_against_cost(group: Group, costs: Mapping[str, Cost], styles: Styles, folder: Path) -> Plot | None:
    """A panel for each cost that is known, with the Pareto front; None where no cost is known."""
    measure = group.measures[0]
    known = {name: _cost_points(group, costs, name) for name in COST_AXES}
    known = {name: points for name, points in known.items() if len(points) > 1}
    if not known:
        return None
    with look():
        figure = Figure(figsize=(3.7 * len(known), 3.5))
        all_axes = figure.subplots(1, len(known), squeeze=False)[0]
        for axes, (name, points) in zip(all_axes, known.items(), strict=True):
            _draw_cost(axes, name, points, measure, styles, reference=group.reference if name != "forward_ms" else None)
        svg = save(figure, folder, name := f"{group.slug}_accuracy_cost")
    caption = f"{measure.title} at the {group.evaluation} evaluation, mean over seeds with its 95 % interval."
    if measure.higher_is_better is not None:
        caption += " The line joins the upsamplers that no other beats in both accuracy and cost."
    return Plot(name, f"{measure.heading} against cost", group.task, caption, svg)


def training_curves(group: Group, styles: Styles, folder: Path) -> Plot | None:
    """The first metric by step, the mean over seeds in a band from the lowest to the highest; None without history."""
    measure = group.measures[0]
    curves = {label: _curve(list(by_seed.values()), measure) for label, by_seed in group.members.items()}
    curves = {label: curve for label, curve in curves.items() if len(curve) > 1}
    if not curves:
        return None
    with look():
        figure = Figure(figsize=(5.7, 3.5 + 0.2 * (len(curves) // LEGEND_COLUMNS)))
        axes = figure.subplots()
        for label, curve in curves.items():
            steps, style = list(curve), styles[label]
            middle = [statistics.fmean(values) for values in curve.values()]
            axes.plot(steps, middle, style.line, color=style.colour, marker=style.marker, markersize=3.5, label=label)
            low, high = [min(values) for values in curve.values()], [max(values) for values in curve.values()]
            axes.fill_between(steps, low, high, color=style.colour, alpha=0.12, linewidth=0)
        axes.set(xlabel="step", ylabel=measure.heading)
        figure.legend(loc="outside lower center", ncols=min(len(curves), LEGEND_COLUMNS), fontsize=8)
        svg = save(figure, folder, name := f"{group.slug}_curves")
    caption = "Mean over seeds at each evaluation; the band spans the lowest and the highest of them."
    return Plot(name, f"Training: {measure.heading} by step", group.task, caption, svg)


def class_differences(group: Group, folder: Path) -> Plot | None:
    """Difference of each class's first value to the reference's, upsampler by class; None where no run has classes."""
    names = class_names(group)
    others = [label for label in group.members if label != group.reference]
    measure = next(iter(class_measures(group.runs)), None)
    if not names or measure is None or not others or group.reference is None:
        return None
    found = [[class_difference(group, label, measure, i) for i in range(len(names))] for label in others]
    grid = np.array([[math.nan if cell is None else cell.mean for cell in row] for row in found])
    if not np.isfinite(grid).any():
        return None
    spread = np.nan_to_num(np.nanmax(np.abs(np.nan_to_num(grid)), axis=0))
    chosen = sorted(np.argsort(-spread, kind="stable")[:MAX_CLASSES])
    with look():
        figure = Figure(figsize=(2.2 + 0.75 * len(chosen), 1.6 + 0.32 * len(others)))
        _heat_map(figure.subplots(), grid[:, chosen], others, [names[i] for i in chosen])
        svg = save(figure, folder, name := f"{group.slug}_classes")
    which = f"The {MAX_CLASSES} of {len(names)} classes that differ most. " if len(chosen) < len(names) else ""
    what = f"Points of {measure.name}" if measure.in_per_cent else measure.title
    caption = f"{which}{what} above or below {REFERENCE}, mean over equal seeds, at the {group.evaluation} evaluation."
    return Plot(name, f"{measure.name} of each class: difference to {REFERENCE}", group.task, caption, svg)


def pareto_front(points: Mapping[str, tuple[float, float]], higher_is_better: bool) -> list[str]:
    """Names of the (cost, accuracy) points that no other beats in both, by cost."""
    front: list[str] = []
    for name, (_, accuracy) in sorted(
        points.items(), key=lambda p: (p[1][0], -p[1][1] if higher_is_better else p[1][1])
    ):
        best = points[front[-1]][1] if front else None
        if best is None or (accuracy > best if higher_is_better else accuracy < best):
            front.append(name)
    return front


def _cost_points(group: Group, costs: Mapping[str, Cost], name: str) -> dict[str, tuple[float, float, float]]:
    """Label → cost, accuracy and half width of its interval, 0 for a single run."""
    measure = group.measures[0]
    points = {}
    for label in group.members:
        cost, found = getattr(costs.get(label, Cost()), name), estimate(group.values(label, measure.key).values())
        if cost is not None and found is not None:
            points[label] = (float(cost), found.mean * measure.scale, (found.half_width or 0) * measure.scale)
    return points


def _draw_cost(
    axes: Axes,
    name: str,
    points: Mapping[str, tuple[float, float, float]],
    measure: MetricInfo,
    styles: Styles,
    reference: str | None,
) -> None:
    added = reference in points
    base = points[reference][0] if reference is not None and added else 0.0
    placed = {label: (cost - base, value) for label, (cost, value, _) in points.items()}
    if measure.higher_is_better is not None:
        front = [placed[label] for label in pareto_front(placed, measure.higher_is_better)]
        axes.plot(*zip(*front, strict=True), color=INK, alpha=0.35, linewidth=1.2, zorder=1)
    for label, (x, y) in placed.items():
        draw_point(axes, x, y, styles[label], yerr=points[label][2])
    if added:
        _spread_out(axes, [x for x, _ in placed.values()])
    axes.margins(x=0.16, y=0.14)
    axes.set(xlabel=COST_AXES[name] + (f", added to {REFERENCE}" if added else ""), ylabel=measure.heading)
    label_points(axes, [(x, y, label, styles[label].colour) for label, (x, y) in placed.items()])


def _spread_out(axes: Axes, added: Sequence[float]) -> None:
    """A logarithmic axis that has a zero, for additions that differ by orders of magnitude."""
    positive = [x for x in added if x > 0]
    if not positive or min(added) < 0:
        return
    axes.set_xscale("symlog", linthresh=min(positive))
    low, high = math.ceil(math.log10(min(positive))), math.floor(math.log10(max(positive)))
    decades = range(min(low, high), high + 1)
    axes.set_xticks([0, *(10.0**decade for decade in decades)])
    axes.xaxis.set_major_formatter(lambda x, _: _short(x))


def _short(number: float) -> str:
    """`0.1`, `10`, `10 k`, `1 M`: powers of ten would be formulas, which are not set here."""
    for unit, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if number >= unit:
            return f"{number / unit:g} {letter}"
    return f"{number:g}"


def _curve(runs: Sequence, measure: MetricInfo) -> dict[int, list[float]]:
    """Step → values of the runs; only steps that all runs evaluated, so that the mean is always one of all."""
    values: dict[int, list[float]] = defaultdict(list)
    for run in runs:
        for step, metrics in dict(run.history).items():
            if (value := metrics.get(measure.key)) is not None:
                values[step].append(value * measure.scale)
    return {step: found for step, found in sorted(values.items()) if len(found) == len(runs)}


def _heat_map(axes: Axes, grid: np.ndarray, rows: Sequence[str], columns: Sequence[str]) -> None:
    limit = float(np.nan_to_num(np.abs(grid)).max()) or 1.0
    # The scale is wider than the values, so that every colour is pale enough for black text.
    axes.pcolormesh(grid, cmap="PuOr_r", vmin=-1.6 * limit, vmax=1.6 * limit)
    axes.invert_yaxis()
    axes.set_xticks(np.arange(len(columns)) + 0.5, columns, rotation=30 if len(columns) > 6 else 0, ha="center")
    axes.set_yticks(np.arange(len(rows)) + 0.5, rows)
    axes.grid(False)
    axes.spines[:].set_visible(False)
    for (i, j), value in np.ndenumerate(grid):
        if np.isfinite(value):
            axes.text(j + 0.5, i + 0.5, f"{value:+.1f}", ha="center", va="center", fontsize=8, color="black")
