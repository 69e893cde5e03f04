"""What scoring is, whatever the task: each group of files is read and added to the task's metrics."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from torch import Tensor

from denseup.data.reading.decoding import Array, DataError
from denseup.engine.per_image import Row, image_rows
from denseup.metrics import DenseMetrics
from denseup.scoring.matching import Group, matched

SHOWN = 20
"""Broken files that an error lists."""


class Scorer(Protocol):
    """The files of a task."""

    @property
    def metrics(self) -> DenseMetrics:
        """Of the task; there once `prepare` has been called."""

    notes: list[str]
    """What has to be said of how they were read."""

    def prepare(self, groups: Sequence[Group]) -> None:
        """Find out from all files what no option says; makes `metrics`."""

    def add(self, group: Group) -> None:
        """Read a group and add it to the metrics; a ValueError that names the file."""

    def finish(self) -> None:
        """Note what is known once all are read."""

    def per_class(self) -> dict[str, list[float]]:
        """Values of each class by key; {} for a task without classes."""


@dataclass(frozen=True)
class Scored:
    """What was measured.

    Args:
        totals: the values of the whole set, by key.
        rows: evaluation, name and values of each image.
        counts: see `DenseMetrics.counts`.
        per_class: values of each class by key.
        notes: what has to be said of how files were read.
    """

    totals: dict[str, float]
    rows: list[Row]
    counts: Mapping[str, Tensor]
    per_class: Mapping[str, Sequence[float]]
    notes: Sequence[str]


def score(scorer: Scorer, folders: Mapping[str, Path], suffixes: Mapping[str, str]) -> Scored:
    """Measure all predictions in a folder.

    Args:
        scorer: of the task.
        folders: "prediction", "truth" and what else there is → folder.
        suffixes: what → what its names end in before the extension.

    Raises:
        DataError: a missing folder or partner, or files that can't be read or don't fit; all of them are listed, and
            nothing is scored.
    """
    groups = matched(folders, suffixes)
    scorer.prepare(list(groups.values()))
    problems: list[str] = []
    for group in groups.values():
        try:
            scorer.add(group)
        except DataError as error:
            problems.append(str(error))
    if problems:
        more = [f"and {len(problems) - SHOWN} more"] if len(problems) > SHOWN else []
        raise DataError("\n  ".join([f"{len(problems)} of {len(groups)} can't be scored:", *problems[:SHOWN], *more]))
    scorer.finish()
    columns = {"name": list(groups), **{key: v.tolist() for key, v in scorer.metrics.per_image().items()}}
    totals = {key: float(value) for key, value in scorer.metrics.compute().items()}
    rows = image_rows({"evaluation": "score"}, columns)
    return Scored(totals, rows, scorer.metrics.counts(), scorer.per_class(), scorer.notes)


def read(path: Path, reading: Callable[..., Array], options: Mapping[str, str], **arguments: Any) -> Array:
    """What a reading function of `denseup.data.reading` gives.

    Args:
        path: of the file.
        reading: called with it.
        options: the names that the function's options have here, for its errors, which speak of a data set's.
        arguments: of the function.
    """
    try:
        return np.ascontiguousarray(reading(path, **arguments))
    except DataError as error:
        raise DataError(_in_our_words(str(error), options)) from error


def _in_our_words(message: str, options: Mapping[str, str]) -> str:
    for theirs, ours in options.items():
        message = re.sub(rf"(?<![\w/])(data\.)?{theirs}\b", ours, message)
    return re.sub(r"(?<![\w/])data\.(?=\w+=)", "", message)
