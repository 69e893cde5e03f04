"""The table that closes a sweep."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from denseup.engine import RunFolder
from denseup.engine.state import read_result

NAMED = ("task", "upsampler", "seed")
"""What has columns of its own."""

Entry = dict[str, Any]
"""A job in the sweep's journal: folder, overrides, status, and an error that its folder does not hold."""


def print_table(entries: Sequence[Entry], console: Console | None = None) -> int:
    """Print a line for each job, and the failures with their errors; the number of failures."""
    console = console or Console()
    table = Table(title="sweep", title_justify="left")
    settings = _settings(entries)
    headers = ["task", "upsampler", "seed", *(["settings"] if any(settings) else []), "status", "best", "folder"]
    for header in headers:
        table.add_column(header, overflow="fold")
    failures = []
    for entry, own in zip(entries, settings, strict=True):
        folder = RunFolder(entry["folder"])
        result = read_result(folder)
        cells = _row(entry, result)
        shown = [*cells[:3], *([own] if any(settings) else []), *cells[3:]]
        table.add_row(*map(escape, shown))  # [a, b] in a value or a path is no markup
        if "error" in entry or result.get("status") != "finished":
            failures.append((entry["folder"], entry.get("error") or result.get("error", "no result")))
    console.print(table)
    for path, error in failures:
        console.print(f"failed: {path}: {error}", highlight=False, soft_wrap=True, markup=False)
    return len(failures)


def _settings(entries: Sequence[Entry]) -> list[str]:
    """What each job was given that not all of them were, besides what has columns; by the last part of its name."""
    given = [dict(_named(override) for override in entry["overrides"]) for entry in entries]
    names = dict.fromkeys(name for one in given for name in one if name.lstrip("+~") not in NAMED)
    varied = [name for name in names if len({one.get(name) for one in given}) > 1]
    ends = [name.rpartition(".")[2] for name in varied]
    short = {name: end if ends.count(end) == 1 else name for name, end in zip(varied, ends, strict=True)}
    return [" ".join(f"{short[name]}={one[name]}" for name in varied if name in one) for one in given]


def _named(override: str) -> tuple[str, str]:
    """Name and value of an override, a long number in four digits."""
    name, _, value = override.partition("=")
    try:
        return name, f"{float(value):.4g}" if "." in value else value
    except ValueError:
        return name, value


def _row(entry: Entry, result: dict[str, Any]) -> list[str]:
    best = ""
    if result.get("status") == "finished":
        monitor = result["monitor"]
        value = result["metrics"]["best"][monitor]
        best = f"{monitor} {'undefined' if value is None else f'{value:.4f}'}"
    names = [str(result.get(key, "?")) for key in ("task", "upsampler", "seed")]
    return [*names, entry["status"], best, Path(entry["folder"]).name]
