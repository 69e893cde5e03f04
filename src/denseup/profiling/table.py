"""The cost table: its columns and what they mean, printed, and written as CSV and JSON."""

import csv
import io
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

COUNTED, PUBLISHED, MEASURED = "counted", "published", "measured"

COLUMNS: Mapping[str, tuple[str, str]] = {
    "task": ("key", "task of the network"),
    "upsampler": ("key", "registered name"),
    "counted_params": (COUNTED, "parameters in the published way of counting: added over bilinear; bilinear: base"),
    "published_params": (PUBLISHED, "the same as published"),
    "params_status": ("comparison", "reproduced: equal in the published digits; differs; not published"),
    "counted_gflops": (COUNTED, "GFLOPs in the published way of counting: added over bilinear; bilinear: base"),
    "published_gflops": (PUBLISHED, "the same as published"),
    "gflops_status": ("comparison", "reproduced: equal in the published digits; differs; not published"),
    "note": ("comparison", "what the published row includes"),
    "params": (COUNTED, "parameters of the whole network"),
    "params_added": (COUNTED, "the same, less those of bilinear"),
    "gflops": (
        COUNTED,
        "10⁹ multiply-adds of the whole network: convolutions, matrix products, attention, our operators",
    ),
    "gflops_added": (COUNTED, "the same, less those of bilinear"),
    "forward_ms": (MEASURED, "inference of one batch, milliseconds, median over the rounds"),
    "forward_ms_q1": (MEASURED, "its first quartile"),
    "forward_ms_q3": (MEASURED, "its third quartile"),
    "forward_ratio": (MEASURED, "median over the rounds of the ratio to bilinear in the same round"),
    "forward_peak_mib": (MEASURED, "peak memory of the call beyond weights and input, MiB"),
    "forward_backward_ms": (MEASURED, "forward and backward of one batch, milliseconds, median over the rounds"),
    "forward_backward_ms_q1": (MEASURED, "its first quartile"),
    "forward_backward_ms_q3": (MEASURED, "its third quartile"),
    "forward_backward_ratio": (MEASURED, "median over the rounds of the ratio to bilinear in the same round"),
    "forward_backward_peak_mib": (MEASURED, "peak memory of the call beyond weights and input, MiB"),
}
"""Column → (where its numbers come from, what they are)."""

Row = Mapping[str, Any]
Formatter = Callable[[Row], str]


def to_csv(rows: Sequence[Row]) -> str:
    """All columns that any row has, in the order of `COLUMNS`; an empty cell where a row has no value."""
    names = [name for name in COLUMNS if any(name in row for row in rows)]
    text = io.StringIO()
    writer = csv.DictWriter(text, names, extrasaction="raise", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def to_json(rows: Sequence[Row], about: Mapping[str, Any]) -> str:
    """The rows, what each column means, and `about`: settings, hardware, versions."""
    columns = {name: {"kind": kind, "meaning": meaning} for name, (kind, meaning) in COLUMNS.items()}
    return json.dumps({**about, "columns": columns, "rows": list(rows)}, indent=2, ensure_ascii=False) + "\n"


def published_rows(rows: Sequence[Row]) -> list[list[str]]:
    """Cells beside the published table, under `PUBLISHED_HEADER`."""
    return [
        [
            row["upsampler"],
            _params(row["counted_params"]),
            row["published_params"] or "",
            row["params_status"],
            _number(row["counted_gflops"], 4),
            row["published_gflops"] or "",
            row["gflops_status"],
        ]
        for row in rows
    ]


PUBLISHED_HEADER = ["", "params (counted)", "published", "", "GFLOPs (counted)", "published", ""]


def whole_rows(rows: Sequence[Row]) -> list[list[str]]:
    """Cells of the whole network, under `WHOLE_HEADER`, and `MEASURED_HEADER` if anything was measured."""
    return [
        [
            row["upsampler"],
            f"{row['params']:,}",
            f"{row['params_added']:+,}",
            _number(row["gflops"], 3),
            f"{row['gflops_added']:+.3f}",
            *(_measured(row) if "forward_ms" in row else []),
        ]
        for row in rows
    ]


WHOLE_HEADER = ["", "params", "added", "GFLOPs", "added"]
MEASURED_HEADER = [
    "forward ms [quartiles]",
    "× bilinear",
    "peak MiB",
    "+ backward ms [quartiles]",
    "× bilinear",
    "peak MiB",
]


def _measured(row: Row) -> list[str]:
    cells = []
    for kind in ("forward", "forward_backward"):
        median, low, high = (row[f"{kind}_ms{suffix}"] for suffix in ("", "_q1", "_q3"))
        cells += [
            f"{_short(median)} [{_short(low)}, {_short(high)}]",
            f"{row[f'{kind}_ratio']:.2f}",
            f"{row[f'{kind}_peak_mib']:.0f}",
        ]
    return cells


def _short(value: float) -> str:
    """Three digits or the whole number."""
    return f"{value:.{0 if value >= 100 else 1}f}"


def _params(value: int | None) -> str:
    return "" if value is None else f"{value:,}"


def _number(value: float | None, digits: int) -> str:
    return "" if value is None else f"{value:.{digits}f}"
