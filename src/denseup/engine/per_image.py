"""per_image.csv and per_image_counts.npz: what was measured and counted on each image of an evaluation."""

import csv
import io
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from denseup.engine.folder import RunFolder, write_atomic
from denseup.tasks.images import Columns

Row = dict[str, Any]


def image_rows(evaluation: Mapping[str, Any], columns: Columns) -> list[Row]:
    """A row for each image: which evaluation it is of, its name, and its values by key."""
    return [{**evaluation, **dict(zip(columns, cells, strict=True))} for cells in zip(*columns.values(), strict=True)]


def image_csv(rows: Sequence[Row]) -> str:
    """The rows as a CSV file at full precision; a value that is undefined for an image is an empty cell."""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]) if rows else [], lineterminator="\n")
    writer.writeheader()
    writer.writerows({key: "" if _undefined(value) else value for key, value in row.items()} for row in rows)
    return text.getvalue()


def write_images(folder: RunFolder, rows: Sequence[Row], counts: Mapping[str, Mapping[str, Tensor]]) -> None:
    """Write both files of a run; arguments as in `image_csv` and `write_counts`."""
    write_atomic(folder.per_image, image_csv(rows))
    write_counts(folder.per_image_counts, counts)


def write_counts(file: Path, counts: Mapping[str, Mapping[str, Tensor]]) -> None:
    """Write the counts as an .npz file: `EVALUATION/KEY`, int32 `[images, 2, classes]`, images as in per_image.csv.

    Args:
        file: not there afterwards if nothing was counted.
        counts: evaluation → key of a value → its counts (`DenseMetrics.counts`).
    """
    arrays = {f"{kind}/{key}": rows.numpy() for kind, by_key in counts.items() for key, rows in by_key.items()}
    if not arrays:
        file.unlink(missing_ok=True)
        return
    content = io.BytesIO()
    np.savez_compressed(content, **arrays)  # type: ignore[arg-type]
    write_atomic(file, content.getvalue())


def read_rows(file: Path) -> dict[str, list[Row]]:
    """Evaluation → the rows of a per_image.csv, values as numbers, NaN for an empty cell; {} without the file."""
    found: dict[str, list[Row]] = {}
    if file.is_file():
        with file.open(newline="") as lines:
            for row in csv.DictReader(lines):
                named = {key: row[key] for key in ("evaluation", "name")}
                values = {key: float(cell or "nan") for key, cell in row.items() if key not in named}
                found.setdefault(named["evaluation"], []).append(named | values)
    return found


def read_counts(file: Path) -> dict[str, dict[str, NDArray[np.int32]]]:
    """Evaluation → key → the counts in a per_image_counts.npz; {} without the file."""
    found: dict[str, dict[str, NDArray[np.int32]]] = {}
    if file.is_file():
        with np.load(file, allow_pickle=False) as arrays:
            for name in arrays.files:
                kind, _, key = name.partition("/")
                found.setdefault(kind, {})[key] = arrays[name]
    return found


def _undefined(value: Any) -> bool:
    return isinstance(value, float) and math.isnan(value)
