"""Draw docs/operators/images: `python -m docs.operators.pictures [PAGE …]`; needs the extra `report`.

Every picture shows the same scene: what the operator is given, what it makes of it, and of which pixels of `de` three
output pixels are made. An operator with weights has been fitted to this one scene for 400 steps, so the pictures show
what its form can do, not what a training finds. Numbers over kernels are their largest weights.
"""

import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path

import torch
from torch import Tensor

from docs.operators.pictures.drawing import Panel, draw, kernels, window
from docs.operators.pictures.fitting import Fitted, fit
from docs.operators.pictures.scene import POSITIONS, SIZE, Scene, make_scene

IMAGES = Path(__file__).parents[1] / "images"
MIDDLE = (slice(12, 26), slice(12, 26))
"""Output pixels whose sampling positions are drawn."""


@cache
def scene() -> Scene:
    """The scene of all pictures."""
    return make_scene()


def image() -> Panel:
    """The guide."""
    return Panel("image", scene().image[0].permute(1, 2, 0))


def given() -> Panel:
    """The decoder feature, as the mask that it holds."""
    return Panel("de", scene().mask(scene().de))


def made(fitted: Fitted, title: str = "output") -> Panel:
    """The output, as the mask that it holds, with the positions whose kernels are drawn."""
    return Panel(title, scene().mask(fitted.out), marks=True)


def guided(name: str) -> list[Panel]:
    """Of an operator with a guide: guide, input, output, kernels."""
    fitted = fit(name, scene())
    return [image(), given(), made(fitted), *kernels(fitted.weights), *_gate(fitted)]


def unguided(name: str) -> list[Panel]:
    """Of an operator that never sees the image."""
    fitted = fit(name, scene())
    return [given(), made(fitted), *kernels(fitted.weights)]


def interpolation() -> list[Panel]:
    """The three plain interpolations, and one kernel of each: it is the same wherever the sub-position is."""
    panels = [given()]
    for name in ("nearest", "bilinear", "bicubic"):
        fitted = fit(name, scene())
        kernel = window(fitted.weights, POSITIONS["edge"])
        panels += [made(fitted, name), Panel(f"weights ≤ {kernel.max():.2f}", kernel, kernel=True)]
    return panels


def deconv_pixel_shuffle() -> list[Panel]:
    """Weights of one channel at two of the four sub-positions."""
    panels = [given()]
    for name in ("deconv", "pixel_shuffle"):
        fitted = fit(name, scene())
        panels.append(made(fitted, name))
        for row, column in ((30, 30), (31, 31)):
            kernel = window(fitted.weights, (row, column))
            place = "upper left" if row % 2 == 0 else "lower right"
            panels.append(Panel(place, kernel, kernel=True))
    return panels


def max_unpool() -> list[Panel]:
    """The guide's first channel, where its maxima are, and what comes out."""
    fitted = fit("max_unpool", scene())
    channel = fitted.en[0, 0]
    marks = fitted.upsampler(torch.ones_like(scene().de), fitted.en)[0, 0]
    shown = Panel("en, one channel", channel, (float(channel.min()), float(channel.max())))
    return [shown, Panel("its maxima", marks), given(), Panel("output", scene().mask(fitted.out), marks=True)]


def indexnet() -> list[Panel]:
    """The index map, and what it makes of nearest-neighbour interpolation."""
    fitted = fit("indexnet", scene())
    index = fitted.weights.sum((0, 1))
    limits = (float(index.min()), float(index.max()))
    shown = Panel(f"index map {limits[0]:.2f}–{limits[1]:.2f}", index, limits)
    return [image(), given(), shown, made(fitted), *kernels(fitted.weights)]


def dysample() -> list[Panel]:
    """Where output pixels read, beside the weights that this means."""
    fitted = fit("dysample", scene())
    shown = given()
    arrows = Panel("where it reads", shown.values[6:13, 6:13], arrows=_arrows(fitted.maps["positions"]))
    return [shown, made(fitted), arrows, *kernels(fitted.weights)]


def _arrows(positions: Tensor) -> Tensor:
    """From where bilinear interpolation reads to where the operator does, in pixels of the part that is shown."""
    base = ((torch.arange(SIZE) + 0.5) / 2 - 0.5).expand(SIZE, SIZE)
    ends = torch.stack([base, base.T, positions[0, 0], positions[0, 1]], -1)
    return (ends[MIDDLE] - 6).reshape(-1, 4)


def _gate(fitted: Fitted) -> list[Panel]:
    if "gate" not in fitted.maps:
        return []
    gate = fitted.maps["gate"][0, 0]
    limits = (float(gate.min()), float(gate.max()))
    return [Panel(f"gate {limits[0]:.2f}–{limits[1]:.2f}", gate, limits)]


PICTURES: dict[str, Callable[[], list[Panel]]] = {
    "interpolation": interpolation,
    "deconv_pixel_shuffle": deconv_pixel_shuffle,
    "max_unpool": max_unpool,
    "carafe": lambda: unguided("carafe"),
    "indexnet": indexnet,
    "a2u": lambda: guided("a2u"),
    "fade": lambda: guided("fade"),
    "fade_lite": lambda: guided("fade_lite"),
    "semishift": lambda: guided("semishift"),
    "sapa": lambda: guided("sapa"),
    "dysample": dysample,
    "sapa_d": lambda: guided("sapa_d"),
    "freqfusion": lambda: guided("freqfusion"),
    "dlu": lambda: unguided("dlu"),
    "lda_aqu": lambda: unguided("lda_aqu"),
    "frfu": lambda: unguided("frfu"),
    "jbu": lambda: guided("jbu"),
    "naf": lambda: guided("naf"),
}


def main() -> None:
    """Draw the pictures named on the command line, or all."""
    torch.set_num_threads(1)
    for name in sys.argv[1:] or PICTURES:
        draw(PICTURES[name](), IMAGES / f"{name}.png")


if __name__ == "__main__":
    main()
