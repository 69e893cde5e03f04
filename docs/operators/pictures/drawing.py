"""Panels in a row on white, as PNG files of few colours."""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image
from torch import Tensor

from docs.operators.pictures.scene import POSITIONS

matplotlib.use("Agg")
COLOURS = dict(zip(POSITIONS, ("#0a9396", "#ee9b00", "#d00070"), strict=True))
INCHES, DOTS = 1.45, 110
RADIUS = 3
"""Of the part of a kernel that is drawn, in pixels of `de`."""


@dataclass(frozen=True)
class Panel:
    """One square of a picture.

    Args:
        title: above it.
        values: `[H, W]`, or `[H, W, 3]` for colours.
        limits: values that are black and white.
        kernel: drawn as a heat map with its largest value, from 0; may be negative.
        frame: colour of the frame.
        marks: the positions whose kernels are drawn.
        arrows: `[N, 4]`: from column and row to column and row.
    """

    title: str
    values: Tensor
    limits: tuple[float, float] = (0.0, 1.0)
    kernel: bool = False
    frame: str = "#999999"
    marks: bool = False
    arrows: Tensor | None = None


def draw(panels: Sequence[Panel], file: Path) -> None:
    """Write the panels, from left to right."""
    figure = Figure((INCHES * len(panels), INCHES * 1.32), dpi=DOTS, facecolor="white")
    figure.subplots_adjust(0.01, 0.03, 0.99, 0.8, wspace=0.08)
    for axes, panel in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels, strict=True):
        _draw(axes, panel)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    picture = Image.open(buffer).convert("RGB").quantize(128, dither=Image.Dither.NONE)
    picture.save(file, optimize=True)


def window(weights: Tensor, position: tuple[int, int]) -> Tensor:
    """The weights `[h, w, H, W]` of one output pixel, around its source pixel: `[2·RADIUS+1, 2·RADIUS+1]`."""
    row, column = (n * low // high for n, low, high in zip(position, weights.shape[:2], weights.shape[2:], strict=True))
    near = slice(row - RADIUS, row + RADIUS + 1), slice(column - RADIUS, column + RADIUS + 1)
    return weights[*near, *position]


def kernels(weights: Tensor) -> list[Panel]:
    """The kernels of the marked positions."""
    return [
        Panel(f"{name}: ≤ {shown.max():.2f}", shown, kernel=True, frame=COLOURS[name])
        for name, shown in ((name, window(weights, position)) for name, position in POSITIONS.items())
    ]


def _draw(axes: Axes, panel: Panel) -> None:
    low, high = panel.limits
    if panel.kernel:
        top = float(panel.values.abs().max())
        axes.imshow(panel.values, cmap="RdBu_r" if panel.values.min() < -0.01 else "magma_r", **_ends(panel, top))
    else:
        axes.imshow(panel.values, cmap="gray", vmin=low, vmax=high, interpolation="nearest")
    axes.set_title(panel.title, fontsize=8, pad=4, color="black")
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set_color(panel.frame)
        spine.set_linewidth(2.5 if panel.frame != "#999999" else 0.8)
    if panel.marks:
        for name, (row, column) in POSITIONS.items():
            axes.plot(column, row, "s", markersize=6, markerfacecolor="none", color=COLOURS[name], markeredgewidth=1.8)
    if panel.arrows is not None:
        x, y, to_x, to_y = panel.arrows.T
        axes.quiver(x, y, to_x - x, to_y - y, angles="xy", scale_units="xy", scale=1, color="#d00070", width=0.006)


def _ends(panel: Panel, top: float) -> dict[str, float]:
    return {"vmin": -top if panel.values.min() < -0.01 else 0.0, "vmax": top}
