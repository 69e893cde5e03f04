"""Reading every file of a data set before training, to list all that is wrong with them at once."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Protocol, runtime_checkable

from denseup.data.io import Array, DataError, check_same_size

FileGroup = Mapping[Path, Callable[[Path], Array]]


@runtime_checkable
class Checkable(Protocol):
    """A data set that can say which files it reads, and how."""

    def file_groups(self) -> Iterator[FileGroup]:
        """Groups of files that must have one height and width, each file with the function that reads it."""
        ...


def check_dataset(dataset: Checkable, limit: int | None = None) -> list[str]:
    """Read the files of a data set and return every problem found, a line each that names the file and the reason.

    `limit` bounds the groups of files read (a group is an image with its partners). An empty list means all is well.
    """
    if not isinstance(dataset, Checkable):
        raise ValueError(
            f"dataset={type(dataset).__name__}: expected a data set of denseup.data (one with file_groups)"
        )
    problems: list[str] = []
    for count, group in enumerate(dataset.file_groups()):
        if limit is not None and count >= limit:
            break
        problems += _problems(group)
    return problems


def _problems(group: FileGroup) -> list[str]:
    problems, arrays = [], {}
    for path, read in group.items():
        try:
            arrays[path] = read(path)
        except DataError as error:
            problems.append(str(error))
    if len(arrays) > 1:
        try:
            check_same_size(arrays)
        except DataError as error:
            problems.append(str(error))
    return problems
