"""Cells and columns of a table, and how numbers are written in them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from denseup.statistics import Difference, Estimate, Rank

Kind = Literal["measured", "published", "cost"]


@dataclass(frozen=True)
class Cell:
    """One number of the table.

    Args:
        text: as printed; empty where the value is not known.
        value: to sort by, None for an empty cell.
        parts: what the CSV file has of it, by the names in the column's `parts`.
        rank: 1 for the best of its column, 2 for the second best, else 0.
        verdict: of a difference that stays after Holm's correction.
    """

    text: str = ""
    value: float | None = None
    parts: Mapping[str, Any] = field(default_factory=dict)
    rank: int = 0
    verdict: Literal["", "better", "worse"] = ""


@dataclass(frozen=True)
class Column:
    """What stands above the cells.

    Args:
        key: in the CSV file.
        section: heading over several columns.
        title: the column's own heading.
        kind: where the numbers come from; kinds never share a column.
        higher_is_better: None where nothing is marked.
        parts: endings of the columns that the CSV file has of it; "" for the key alone.
    """

    key: str
    section: str
    title: str
    kind: Kind
    higher_is_better: bool | None = None
    parts: tuple[str, ...] = ("",)

    @property
    def names(self) -> list[str]:
        """Of its columns in the CSV file."""
        return [f"{self.key}_{part}" if part else self.key for part in self.parts]


MakeCell = Callable[[str], Cell]
"""Label of an upsampler → its cell in a column."""


def number_text(value: float, digits: int, sign: str = "") -> str:
    """`+1.30`; what rounds to zero has no minus."""
    return f"{round(value, digits) + 0.0:{sign}.{digits}f}"


def estimate_text(found: Estimate, digits: int, sign: str = "") -> str:
    """`31.10 ± 0.21`, or `31.10 (n = 1)` for a single value."""
    mean = number_text(found.mean, digits, sign)
    return f"{mean} (n = 1)" if found.half_width is None else f"{mean} ± {found.half_width:.{digits}f}"


def difference_text(found: Difference, digits: int, sign: str = "") -> str:
    """`+1.30 ± 0.21`, with a remark where other seeds are not in the interval."""
    alone = " (images alone)" if found.of_images_alone else ""
    return estimate_text(found.both, digits, sign) + alone


def p_text(p: float) -> str:
    """`0.021`, or `< 0.001`."""
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def rank_text(rank: Rank) -> str:
    """`2 (1–4)`, or `2` where the interval is not known."""
    return str(rank.place) if rank.low is None else f"{rank.place} ({rank.low}–{rank.high})"
