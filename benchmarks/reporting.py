"""Tables for people, JSON for programs."""

import json
import re
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from benchmarks.cases import OK, Row
from denseup.environment import commit, hardware, versions

COLUMNS: Mapping[str, str] = {
    "case": "what is done, at which size, in which precision",
    "kind": "which call is timed; empty for an entrant that was not timed",
    "entrant": "the way it is done; 'denseup/…' names a back end, in channels_last unless the name says NCHW",
    "status": "ok; skipped: it cannot run here; wrong: its results are not the true ones; failed: it raised an error",
    "reason": "why it is not ok",
    "automatic": "this is the back end that denseup chooses by itself for this call",
    "baseline": "the entrant that ratios are told against",
    "error": "greatest difference from the true results, outputs and gradients, relative to the greatest true value",
    "tolerance": "the error that is let pass",
    "median_seconds": "of one call, median over the rounds",
    "quartile_seconds": "first and third quartile over the rounds",
    "seconds": "of one call, in every round",
    "ratio": "median over the rounds of the ratio to the baseline in the same round",
    "floor_seconds": "bytes that must be read and written once, divided by the bandwidth of a big copy",
    "floor_ratio": "median in units of that floor",
    "peak_bytes": "peak memory of the call beyond what was held before it",
}

HEADER = ["", "median", "quartiles", "× baseline", "× floor", "peak MiB", "error"]
DASH = "-"


def as_record(row: Row) -> dict[str, Any]:
    """A row under the names of `COLUMNS`."""
    record = {name: value for name, value in vars(row).items() if name != "timing"}
    timed = row.timing is not None
    record["median_seconds"] = row.timing.median if row.timing else None
    record["quartile_seconds"] = list(row.timing.quartiles) if row.timing else None
    record["seconds"] = list(row.timing.seconds) if row.timing else []
    record["floor_ratio"] = row.floor_ratio if timed else None
    return {name: record[name] for name in COLUMNS}


def to_text(rows: Sequence[Row]) -> str:
    """Tables of the rows of one case, one for each kind; then what was not timed, and why."""
    parts = []
    for kind in dict.fromkeys(row.kind for row in rows if row.status == OK):
        timed = [row for row in rows if row.kind == kind and row.status == OK]
        title = f"{timed[0].case} · {kind} (ratios to {timed[0].baseline})"
        parts.append("\n".join([title, *_aligned([HEADER, *map(_cells, timed)])]))
    absent = [f"  {row.entrant}: {row.status}: {row.reason}" for row in rows if row.status != OK]
    if absent:
        parts.append("\n".join([f"{rows[0].case} · not timed", *absent]))
    return "\n\n".join(parts) + "\n"


def targets_to_text(judged: Sequence[Mapping[str, Any]]) -> str:
    """The table of targets."""
    words = {True: "met", False: "NOT MET", None: "not measured"}
    rows = [
        [
            item["target"],
            item["limit"],
            DASH if item["reached"] is None else digits(item["reached"]),
            words[item["met"]],
        ]
        for item in judged
    ]
    return "\n".join(["targets", *_aligned([["", "limit", "reached", ""], *rows])]) + "\n"


def write_json(what: str, output: Path, device: torch.device, rows: Sequence[Row], about: Mapping[str, Any]) -> Path:
    """Write the rows, what their columns mean, hardware, versions and commit, and `about`.

    Args:
        what: name of the benchmark.
        output: a file ending in .json, or a folder; in a folder no earlier file is written over.
        device: that was measured.
        rows: of all cases.
        about: what else there is to keep: settings, targets.

    Returns:
        The file.
    """
    record = {
        "what": what,
        "date": time.strftime("%Y-%m-%d %H:%M:%S"),
        "hardware": hardware(device),
        "versions": versions(),
        "commit": commit(),
        **about,
        "columns": COLUMNS,
        "rows": [as_record(row) for row in rows],
    }
    path = output if output.suffix == ".json" else _unused(output, f"{time.strftime('%Y-%m-%d')}_{what}_{slug(device)}")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(_in_lines(record), encoding="utf-8")
    return path


def _in_lines(record: Mapping[str, Any]) -> str:
    """JSON with a line for each entry, and for each of the rows, which are many."""
    entries = {key: json.dumps(value, ensure_ascii=False) for key, value in record.items()}
    entries["rows"] = "[\n" + ",\n".join(json.dumps(row, ensure_ascii=False) for row in record["rows"]) + "\n]"
    return "{\n" + ",\n".join(f'"{key}": {value}' for key, value in entries.items()) + "\n}\n"


def slug(device: torch.device) -> str:
    """The device for a file name: "cpu", or the accelerator's name."""
    name = hardware(device).get("accelerator", device.type)
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")


def _unused(folder: Path, stem: str) -> Path:
    path, count = folder / f"{stem}.json", 1
    while path.exists():
        count += 1
        path = folder / f"{stem}_{count}.json"
    return path


def _cells(row: Row) -> list[str]:
    assert row.timing is not None
    low, high = row.timing.quartiles
    name = f"{row.entrant} *" if row.automatic else row.entrant
    return [
        name,
        _time(row.timing.median),
        f"[{_time(low)}, {_time(high)}]",
        DASH if row.ratio is None else digits(row.ratio),
        DASH if row.floor_ratio is None else digits(row.floor_ratio),
        DASH if row.peak_bytes is None else f"{row.peak_bytes / 2**20:.1f}",
        DASH if row.error is None else f"{row.error:.0e}",
    ]


def _time(seconds: float) -> str:
    for unit, name in ((1, "s"), (1e-3, "ms")):
        if seconds >= unit:
            return f"{digits(seconds / unit)} {name}"
    return f"{digits(seconds * 1e6)} µs"


def digits(value: float) -> str:
    """Three digits, or the whole number."""
    decimals = 0 if value >= 100 else 1 if value >= 10 else 2 if value >= 0.1 else 4
    return f"{value:.{decimals}f}"


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return ["  " + "  ".join(_padded(cell, i, widths) for i, cell in enumerate(row)).rstrip() for row in rows]


def _padded(cell: str, index: int, widths: Sequence[int]) -> str:
    return cell.ljust(widths[index]) if index == 0 else cell.rjust(widths[index])
