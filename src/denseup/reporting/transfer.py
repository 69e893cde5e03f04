"""Task transfer: whether an upsampler that gains in one task gains in another."""

from collections.abc import Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from denseup.reporting.figures import Plot, draw_point, label_points, look, save
from denseup.reporting.group import REFERENCE, Group
from denseup.reporting.style import INK, Styles
from denseup.statistics import estimate


def task_transfer(one: Group, other: Group, styles: Styles, folder: Path) -> Plot | None:
    """Gain over the reference in one task against that in the other; None with fewer than two upsamplers in both."""
    shared = [label for label in one.members if label in other.members and label != one.reference]
    points = {label: [_gain(group, label) for group in (one, other)] for label in shared}
    known = {label: (x, y) for label, (x, y) in points.items() if x is not None and y is not None}
    if len(known) < 2:
        return None
    with look():
        figure = Figure(figsize=(6.2, 5))
        axes = figure.subplots()
        axes.axhline(0, color=INK, linewidth=0.8, alpha=0.6)
        axes.axvline(0, color=INK, linewidth=0.8, alpha=0.6)
        for label, ((x, x_half), (y, y_half)) in known.items():
            draw_point(axes, x, y, styles[label], xerr=x_half, yerr=y_half)
        axes.set(xlim=_around([x for x, _ in known.values()]), ylim=_around([y for _, y in known.values()]))
        axes.set(xlabel=f"{_gain_title(one)}  →", ylabel=f"{_gain_title(other)}  →")
        _name_corners(axes, one.task, other.task)
        label_points(axes, [(x, y, label, styles[label].colour) for label, ((x, _), (y, _)) in known.items()])
        svg = save(figure, folder, name := f"transfer_{one.slug}_{other.slug}")
    caption = (
        f"Each upsampler's gain over {REFERENCE} at equal seeds, with its paired 95 % interval for other seeds and "
        "images (cut at the frame). One that suits both tasks stands at the upper right. Runs: "
        f"{one.name}, {other.name}."
    )
    return Plot(name, f"Task transfer: gain in {one.task} against gain in {other.task}", "", caption, svg)


def _gain(group: Group, label: str) -> tuple[float, float] | None:
    """Gain and half width of its interval: of a metric in per cent in points, else in per cent of the reference."""
    measure = group.measures[0]
    compared = group.compare(measure)
    found = compared.differences.get(label)
    if found is None or measure.higher_is_better is None or compared.reference is None:
        return None
    reference = estimate(group.values(compared.reference, measure.key).values())
    if reference is None or not reference.mean:
        return None
    scale = measure.scale if measure.in_per_cent else 100 / abs(reference.mean)
    return measure.gain(found.both.mean) * scale, (found.both.half_width or 0) * scale


def _gain_title(group: Group) -> str:
    """`matting: SAD below that of bilinear, %`."""
    measure = group.measures[0]
    side, unit = "above" if measure.higher_is_better else "below", "points" if measure.in_per_cent else "%"
    return f"{group.task}: {measure.name} {side} that of {REFERENCE}, {unit}"


def _around(gains: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """Limits of an axis with zero and all intervals in it, those left out that would crowd the points together."""
    low, high = min(0.0, *(gain for gain, _ in gains)), max(0.0, *(gain for gain, _ in gains))
    most = 1.5 * (high - low)
    below = min(most, max(low - (gain - half) for gain, half in gains))
    above = min(most, max(gain + half - high for gain, half in gains))
    margin = 0.18 * (high - low + below + above) or 1.0
    return low - below - margin, high + above + margin


def _name_corners(axes: Axes, task: str, other: str) -> None:
    corners = {
        (0.99, 0.99): "better in both",
        (0.01, 0.99): f"better in {other}",
        (0.99, 0.01): f"better in {task}",
        (0.01, 0.01): "worse in both",
    }
    for (x, y), text in corners.items():
        side, height = ("right" if x > 0.5 else "left"), ("top" if y > 0.5 else "bottom")
        axes.text(x, y, text, transform=axes.transAxes, ha=side, va=height, fontsize=8, style="italic", alpha=0.55)
