"""per_image.csv: what was measured on each image of an evaluation."""

import csv
import io
import math
from collections.abc import Mapping, Sequence
from typing import Any

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


def _undefined(value: Any) -> bool:
    return isinstance(value, float) and math.isnan(value)
