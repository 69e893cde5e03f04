"""The report as one HTML page that loads nothing: style, script, plots and pictures stand inside of it.

What the page says is in the templates of page/, which escape all text; what is found out for them is here.
"""

import base64
from collections.abc import Iterable
from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from denseup.reporting.content import Content, Part
from denseup.reporting.feature_evolution import TITLE
from denseup.reporting.group import Group
from denseup.reporting.panel import caption

PAGE = Path(__file__).parent / "page"
CONTENT = ("title", "summary", "tasks", "parts", "lengths", "transfers", "left_out")
"""What the templates take as it is."""
MAX_EMBEDDED = 3_000_000
"""Bytes of pictures in a page; those beyond it are linked as files beside it."""


def page(content: Content, max_embedded: int = MAX_EMBEDDED) -> str:
    """The whole page; pictures beyond `max_embedded` bytes are linked, animations before all others."""
    return (
        _templates()
        .get_template("page.html")
        .render(
            {name: getattr(content, name) for name in CONTENT},
            reading=content.reading,
            counted=content.counted,
            embedded=_embedded(content, max_embedded),
            style=Markup((PAGE / "style.css").read_text(encoding="utf-8")),
            script=Markup((PAGE / "script.js").read_text(encoding="utf-8")),
        )
    )


@cache
def _templates() -> Environment:
    found = Environment(
        loader=FileSystemLoader(PAGE, encoding="utf-8"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    found.globals.update(about=_about, labelled=_labelled, panel_caption=_panel_caption, evolution_title=TITLE)
    return found


def _about(group: Group) -> str:
    seeds = sorted({seed for by_seed in group.members.values() for seed in by_seed})
    return f"{group.name}: {len(group.runs)} runs, seed{'s' if len(seeds) > 1 else ''} {', '.join(map(str, seeds))}"


def _labelled(svg: str, title: str) -> Markup:
    """A drawing with a name for those who hear the page."""
    return Markup(svg.replace("<svg ", Markup('<svg role="img" aria-label="{}" ').format(title), 1))


def _panel_caption(part: Part) -> str:
    return caption([example for example, _ in part.examples])


def _embedded(content: Content, budget: int) -> dict[Path, str]:
    """Picture → what stands for its address inside the page, for those that fit. Animations get what others leave."""
    drawn = [part.evolution for part in content.parts if part.evolution is not None]
    stills = [file for part in content.parts for file in _stills(part)]
    left = budget - sum(map(_size, stills))
    return _fitting(stills, budget) | _fitting((evolution.animation for evolution in drawn), left)


def _stills(part: Part) -> list[Path]:
    sheet = [] if part.evolution is None else [part.evolution.sheet]
    return [file for _, file in part.examples] + sheet


def _fitting(files: Iterable[Path], budget: int) -> dict[Path, str]:
    found = {}
    for file in files:
        if _size(file) <= budget:
            budget -= _size(file)
            found[file] = f"data:image/{file.suffix[1:]};base64,{base64.b64encode(file.read_bytes()).decode()}"
    return found


def _size(file: Path) -> int:
    """Bytes that a file takes inside the page."""
    return (file.stat().st_size + 2) // 3 * 4
