"""What all plots share: the look, labels beside their points, and a figure as SVG and PNG."""

import io
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import matplotlib
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.transforms import Bbox
from PIL import Image

from denseup.engine.folder import write_atomic
from denseup.reporting.style import INK, Style

LOOK: Any = {
    "text.color": INK,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.titlesize": 10,
    "axes.labelsize": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.facecolor": "none",
    "figure.facecolor": "none",
    "figure.constrained_layout.use": True,
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 9,
    "grid.alpha": 0.15,
    "grid.color": INK,
    "text.parse_math": False,  # a name is no formula
    "legend.frameon": False,
    "svg.fonttype": "none",
    "svg.hashsalt": "denseup",
    "xtick.color": INK,
    "ytick.color": INK,
}
PNG_DPI = 150
PNG_COLOURS = 128
NO_METADATA = {"Date": None, "Creator": None, "Format": None, "Type": None}
NO_XML = re.compile(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""Characters that no XML document may hold, in a name that a plot shows."""
DIRECTIONS = ((1, 1), (1, -1), (-1, 1), (-1, -1), (1, 0), (-1, 0), (0, 1), (0, -1))
OFFSETS = [(r * x, r * y) for r in (5, 9, 14, 20, 28, 38) for x, y in DIRECTIONS]
"""From a point to its label, in points; the diagonals first, for intervals are drawn along the axes."""
NEAR = 9
"""The offset beyond which a line joins a label to its point."""


@dataclass(frozen=True)
class Plot:
    """A plot that has been drawn.

    Args:
        name: of its files, without the suffix.
        title: for readers.
        task: whose it is, "" for one of several tasks.
        caption: what it shows.
        svg: the drawing, ready to stand inside a page: black is `currentColor`, and it loads nothing.
    """

    name: str
    title: str
    task: str
    caption: str
    svg: str


@contextmanager
def look() -> Iterator[None]:
    """Draw in the report's look inside of it."""
    with matplotlib.rc_context(LOOK):
        yield


def save(figure: Figure, folder: Path, name: str) -> str:
    """Write NAME.svg and NAME.png (on white) into the folder; the SVG's text."""
    with look():
        text = io.StringIO()
        figure.savefig(text, format="svg", metadata=NO_METADATA)
        folder.mkdir(parents=True, exist_ok=True)
        _save_png(figure, folder / f"{name}.png")
    svg = _for_a_page(NO_XML.sub("\ufffd", text.getvalue()), name)
    write_atomic(folder / f"{name}.svg", svg)
    return svg


def _save_png(figure: Figure, file: Path) -> None:
    """With a palette, a third of the bytes: a plot has few colours."""
    content = io.BytesIO()
    figure.savefig(content, format="png", dpi=PNG_DPI, facecolor="white")
    Image.open(content).convert("RGB").quantize(PNG_COLOURS, dither=Image.Dither.NONE).save(file, optimize=True)


def draw_point(axes: Axes, x: float, y: float, style: Style, xerr: float = 0, yerr: float = 0) -> None:
    """A point in an upsampler's style; xerr and yerr are half widths of intervals, 0 for none."""
    axes.errorbar(x, y, yerr or None, xerr or None, color=style.colour, elinewidth=1, alpha=0.45)
    axes.plot(x, y, color=style.colour, marker=style.marker, markersize=6)


def label_points(axes: Axes, points: Sequence[tuple[float, float, str, str]]) -> None:
    """Write each (x, y, text, colour)'s text beside its point where it hides the fewest others.

    Axes limits must be final.
    """
    figure = axes.get_figure(root=True)
    assert figure is not None
    renderer = FigureCanvasAgg(figure).get_renderer()
    figure.draw_without_rendering()
    inside = axes.get_window_extent(renderer)
    places = axes.transData.transform([point[:2] for point in points])
    taken = [Bbox.from_bounds(x - 4, y - 4, 8, 8) for x, y in places]
    for (x, y, text, colour), place in zip(points, places, strict=True):
        note = axes.annotate(text, (x, y), (0, 0), textcoords="offset points", va="center", fontsize=8, color=INK)
        size = note.get_window_extent(renderer)
        boxes = [_box(place, size.width, size.height, offset, figure.dpi / 72) for offset in OFFSETS]
        costs = [_cost(box, taken, inside) + 0.01 * i for i, box in enumerate(boxes)]
        best = costs.index(min(costs))
        taken.append(boxes[best])
        note.xyann = OFFSETS[best]
        note.set_horizontalalignment(_side(OFFSETS[best]))
        if max(map(abs, OFFSETS[best])) > NEAR:
            _join(axes, (x, y), OFFSETS[best], colour)


def _side(offset: tuple[int, int]) -> Literal["left", "center", "right"]:
    return "left" if offset[0] > 0 else "right" if offset[0] < 0 else "center"


def _box(place: Any, width: float, height: float, offset: tuple[int, int], pixels: float) -> Bbox:
    """Where a label of this size would be, in pixels; `pixels` make a point."""
    x, y = place[0] + offset[0] * pixels, place[1] + offset[1] * pixels
    left = {"left": 0.0, "center": width / 2, "right": width}[_side(offset)]
    return Bbox.from_bounds(x - left, y - height / 2, width, height)


def _join(axes: Axes, at: tuple[float, float], offset: tuple[int, int], colour: str) -> None:
    """A thin line from a point to its distant label."""
    line = {"arrowstyle": "-", "color": colour, "linewidth": 0.6, "shrinkA": 0, "shrinkB": 3}
    axes.annotate("", at, offset, textcoords="offset points", arrowprops=line)


def _cost(box: Bbox, taken: Sequence[Bbox], inside: Bbox) -> float:
    hidden = sum(1.0 for other in taken if box.overlaps(other))
    outside = box.x0 < inside.x0 or box.x1 > inside.x1 or box.y0 < inside.y0 or box.y1 > inside.y1
    return hidden + 3 * outside


def _for_a_page(svg: str, name: str) -> str:
    """Without prolog, comments and metadata, its ids its own, ink in the page's colour, its size left to the page."""
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>\s*|<!--.*?-->\s*", "", svg, flags=re.DOTALL)
    svg = re.sub(r'(\bid="|href="#|url\(#)', rf"\g<1>{re.sub(r'[^a-z0-9]+', '-', name.lower())}-", svg)
    return svg.replace(INK, "currentColor")
