"""The report as one HTML page that loads nothing: style, script, plots and pictures stand inside of it."""

import base64
from collections.abc import Iterable, Sequence
from html import escape
from itertools import groupby
from pathlib import Path
from string import Template

from denseup.reporting.loading import Run
from denseup.reporting.table import Cell, Column, Table

PAGE = Path(__file__).parent / "page"
RANKS = {0: "", 1: "best", 2: "second"}
RANK_WORDS = {0: "", 1: "best", 2: "second best"}
MAX_EMBEDDED = 3_000_000
"""Bytes of pictures in a page; those beyond it are linked as files beside it."""


def page(title: str, summary: str, tasks: Sequence[str], sections: Iterable[str]) -> str:
    """The whole page, from the parts that the functions below make."""
    template = Template((PAGE / "page.html").read_text())
    choices = [("", "all"), *((task, task) for task in tasks)]
    return template.substitute(
        title=escape(title),
        summary=escape(summary),
        filter="\n".join(_choice(value, text) for value, text in choices),
        sections="\n".join(sections),
        style=(PAGE / "style.css").read_text(),
        script=(PAGE / "script.js").read_text(),
    )


def section(heading: str, parts: Iterable[str], task: str = "") -> str:
    """A section with its heading; the filter hides it for other tasks. "both" is hidden for every single task."""
    mark = f' data-task="{escape(task)}"' if task else ""
    return "\n".join([f"<section{mark}>", f"<h2>{escape(heading)}</h2>", *parts, "</section>"])


def paragraph(text: str, kind: str = "") -> str:
    """A paragraph of plain text."""
    return f'<p class="{kind}">{escape(text)}</p>' if kind else f"<p>{escape(text)}</p>"


def bullets(lines: Sequence[str], kind: str = "note") -> str:
    """A list of plain text, nothing for none."""
    items = "".join(f"<li>{escape(line)}</li>" for line in lines)
    return f'<ul class="{kind}">{items}</ul>' if lines else ""


def folded(title: str, content: str) -> str:
    """Content that opens on demand."""
    return f"<details><summary>{escape(title)}</summary>{content}</details>"


def comparison(table: Table, caption: str) -> str:
    """The table of a group; columns that have no value at all are left out."""
    shown = [i for i, _ in enumerate(table.columns) if any(row.cells[i].text for row in table.rows)]
    columns = [table.columns[i] for i in shown]
    starts = {next(part)[0] for _, part in groupby(enumerate(columns), key=lambda item: item[1].section)}
    body = []
    for row in table.rows:
        cells = "".join(_cell(row.cells[i], table.columns[i], n in starts) for n, i in enumerate(shown))
        body.append(f'<tr><th scope="row">{escape(row.label)}</th><td>{len(row.seeds)}</td>{cells}</tr>')
    return _scroll(
        f'<table class="comparison">{_caption(caption)}{_head(columns, starts)}{_body(body)}</table>', caption
    )


def run_table(runs: Sequence[tuple[Run, str]], caption: str, last: str) -> str:
    """Runs with a remark on each, under the heading `last`."""
    names = ("task", "upsampler", "seed", "status", "folder", last)
    head = "".join(_header(i, name, words=i > 3) for i, name in enumerate(names))
    body = []
    for run, remark in runs:
        words = f'<td class="words">{escape(str(run.source))}</td><td class="words">{escape(remark)}</td>'
        rest = "".join(f"<td>{escape(str(value))}</td>" for value in (run.upsampler, _seed(run), run.status))
        body.append(f'<tr><th scope="row">{escape(run.task)}</th>{rest}{words}</tr>')
    return _scroll(f"<table>{_caption(caption)}<thead><tr>{head}</tr></thead>{_body(body)}</table>", caption)


def drawing(title: str, svg: str, caption: str) -> str:
    """A plot, as SVG inside the page."""
    named = svg.replace("<svg ", f'<svg role="img" aria-label="{escape(title)}" ', 1)
    text = f"<figcaption>{escape(caption)}</figcaption>"
    return f'<figure><h3>{escape(title)}</h3><div class="drawing">{named}</div>{text}</figure>'


def side_by_side(drawings: Sequence[str]) -> str:
    """Drawings in a row where the window is wide enough, else below one another."""
    return f'<div class="plots">{"".join(drawings)}</div>'


def picture(title: str, file: Path, budget: int) -> tuple[str, int]:
    """An image file of the report, and the bytes that it took of `budget`: beyond it, the file is linked."""
    content = base64.b64encode(file.read_bytes()).decode()
    if len(content) > budget:
        link = escape(f"{file.parent.name}/{file.name}")
        note = f'<figcaption>Lies beside this page: <a href="{link}">{link}</a></figcaption>'
        return _figure(link, title, note), 0
    return _figure(f"data:image/{file.suffix[1:]};base64,{content}", title), len(content)


def _figure(source: str, title: str, note: str = "") -> str:
    image = f'<img src="{source}" alt="{escape(title)}">'
    return f'<figure><div class="drawing wide" tabindex="0">{image}</div>{note}</figure>'


def embedded_size(file: Path) -> int:
    """Bytes that a file takes inside the page."""
    return (file.stat().st_size + 2) // 3 * 4


def _seed(run: Run) -> str:
    return "" if run.seed is None else str(run.seed)


def _choice(value: str, text: str) -> str:
    checked = "" if value else " checked"
    return f'<label><input type="radio" name="task" value="{escape(value)}"{checked}> {escape(text)}</label>'


def _caption(text: str) -> str:
    return f"<caption>{escape(text)}</caption>"


def _body(rows: Iterable[str]) -> str:
    return "\n".join(["<tbody>", *rows, "</tbody>"])


def _scroll(table: str, name: str) -> str:
    return f'<div class="scroll" role="region" tabindex="0" aria-label="{escape(name)}">{table}</div>'


def _head(columns: Sequence[Column], starts: set[int]) -> str:
    sections = [(name, len(list(part))) for name, part in groupby(columns, key=lambda column: column.section)]
    upper = "".join(f'<th scope="colgroup" colspan="{width}">{escape(name)}</th>' for name, width in sections)
    lower = [_header(0, "upsampler"), _header(1, "runs")]
    for i, column in enumerate(columns):
        kinds = [kind for kind, on in ((column.kind, True), ("first", i in starts)) if on]
        lower.append(_header(i + 2, column.title, " ".join(kinds)))
    joined = "".join(lower)
    return f'<thead><tr><td colspan="2"></td>{upper}</tr><tr>{joined}</tr></thead>'


def _header(column: int, title: str, kind: str = "", words: bool = False) -> str:
    kinds = f"{kind} words".strip() if words else kind
    return f'<th scope="col" data-column="{column}" class="{kinds}"><button type="button">{escape(title)}</button></th>'


def _cell(cell: Cell, column: Column, first: bool) -> str:
    kinds = [column.kind, RANKS[cell.rank], cell.verdict, "first" if first else ""]
    value = "" if cell.value is None else f"{cell.value!r}"
    words = RANK_WORDS[cell.rank] or (f"{cell.verdict}: the interval excludes zero" if cell.verdict else "")
    hint = f' title="{words}"' if words else ""
    arrow = {"": "", "better": " ▲", "worse": " ▼"}[cell.verdict]
    classes = " ".join(filter(None, kinds))
    return f'<td class="{classes}" data-value="{value}"{hint}>{escape(cell.text)}{arrow}</td>'
