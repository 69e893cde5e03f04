"""The images of an evaluation: their names, and what was measured and counted on each of them."""

from collections.abc import Sequence
from itertools import chain, zip_longest
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from denseup.tasks.divergence import Batch

Columns = dict[str, list[Any]]
"""Column → an entry for each image: "name", and the keys of the metric."""


def names_of(batch: Batch, number: int, first: int) -> list[str]:
    """Names of the `number` images of a batch; where the data have none, their places in the data set from `first`."""
    names = batch.get("name")
    return [str(first + i) for i in range(number)] if names is None else [str(name) for name in names]


def columns_of(names: Sequence[str], values: dict[str, Tensor]) -> Columns:
    """Names and values of the images of all processes, in the order of the data; each process has to call this."""
    own: Columns = {"name": list(names), **{key: column.tolist() for key, column in values.items()}}
    assert len({len(column) for column in own.values()}) == 1, "every image has a name, and an entry for each value"
    return _of_all_processes(own)


def counts_of(counts: dict[str, Tensor]) -> dict[str, Tensor]:
    """Counts `[images, 2, classes]` of the images of all processes, in the order of the data; each has to call this."""
    return {key: torch.stack(rows) for key, rows in _of_all_processes({k: list(v) for k, v in counts.items()}).items()}


def _of_all_processes(own: Columns) -> Columns:
    if not (dist.is_available() and dist.is_initialized()):
        return own
    parts: list[Columns] = [own] * dist.get_world_size()
    dist.all_gather_object(parts, own)
    return {key: in_turns([part.get(key, []) for part in parts]) for key in own}


def in_turns(parts: Sequence[Sequence[Any]]) -> list[Any]:
    """One sequence of what processes have that took turns at it: each one's first, then each one's second …"""
    missing = object()
    return [item for item in chain.from_iterable(zip_longest(*parts, fillvalue=missing)) if item is not missing]
