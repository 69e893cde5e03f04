"""What is published about the costs of a task's network, and how it is looked up."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from torch import nn

INPUT_SIZE = 512
"""Side of the square input at which the table was counted."""
GIGA = 1e9


@dataclass(frozen=True)
class PublishedCost:
    """One row of the published table.

    Args:
        params: as printed, "0.12M".
        gflops: as printed.
        elementwise: where it differs from the operators that the table counts for this upsampler elsewhere.
        norm_parameters: whether scales and shifts of normalisation layers count.
        note: what a reader has to know about this row.
    """

    params: str
    gflops: str
    elementwise: tuple[Any, ...] | None = None
    norm_parameters: bool = True
    note: str = ""


@dataclass(frozen=True)
class TaskCosts:
    """The published table of one task: what a module of `denseup.profiling.published_costs` has as `COSTS`.

    Args:
        rows: upsampler → its row; "bilinear" is the base network.
        base: base network (bilinear, on the meta device) → its parameters and GFLOPs in the table's way of counting;
            None for a network that is not the published one.
    """

    rows: Mapping[str, PublishedCost]
    base: Callable[[nn.Module], tuple[int, float] | None]
