"""One look for each upsampler, the same in every plot of a report."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

INK = "#010203"
"""Of text and axes; in a page it becomes the colour of the page's own text."""
REFERENCE_GREY = "#7f7f7f"

FAMILY_COLOURS = {
    "bilinear": REFERENCE_GREY,
    "nearest": REFERENCE_GREY,
    "bicubic": REFERENCE_GREY,
    "carafe": "#e69f00",
    "indexnet": "#56b4e9",
    "a2u": "#009e73",
    "fade": "#d55e00",
    "sapa": "#cc79a7",
    "dysample": "#2f86c6",
}
"""Of the first part of a name: variants share a colour and differ in marker and line. From Okabe and Ito's colours, the
blue lightened, so that each is seen on white and on black, by colour-blind readers too."""
OTHER_COLOURS = ("#b0a000", "#9a6a43", "#8f7fd6", "#5b8c85", "#c0504d", "#a0a060")
MARKERS = "osD^vPX*<>"
LINES: tuple[Any, ...] = ("-", "--", ":", "-.", (0, (5, 1)), (0, (1, 1)))


@dataclass(frozen=True)
class Style:
    """Colour, marker and line style of an upsampler, as matplotlib takes them."""

    colour: str
    marker: str
    line: Any


Styles = Mapping[str, Style]
"""By the label of the upsampler."""


def styles(labels: Iterable[str]) -> dict[str, Style]:
    """Label → style for all upsamplers of a report, in any order."""
    names = sorted(set(labels), key=lambda label: (label != "bilinear", label))  # the reference is the plainest one
    colours = dict(FAMILY_COLOURS)
    for family in dict.fromkeys(_family(name) for name in names):
        colours.setdefault(family, OTHER_COLOURS[(len(colours) - len(FAMILY_COLOURS)) % len(OTHER_COLOURS)])
    found: dict[str, Style] = {}
    for name in names:
        colour = colours[_family(name)]
        twins = sum(style.colour == colour for style in found.values())
        found[name] = Style(colour, MARKERS[twins % len(MARKERS)], LINES[twins % len(LINES)])
    return found


def _family(label: str) -> str:
    return label.split(" ")[0].split("_")[0]
