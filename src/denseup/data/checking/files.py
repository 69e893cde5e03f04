"""Reading every file of a data set before training, to list all that is wrong with them at once."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Protocol, runtime_checkable

from denseup.data.checking.survey import OrientationSurvey, Survey
from denseup.data.reading.decoding import Array, DataError, Picture, open_picture
from denseup.data.reading.samples import check_same_size

FileGroup = Mapping[Path, Callable[[Path | Picture], Array]]


@runtime_checkable
class Checkable(Protocol):
    """A data set that can say which files it reads, and how."""

    def file_groups(self) -> Iterator[FileGroup]:
        """Groups of files that must have one height and width, each file with the function that reads it."""
        ...


@runtime_checkable
class Surveyable(Protocol):
    """A data set whose files can each be sound and yet be suspicious together."""

    def survey(self) -> Survey:
        """What looks at the groups of `file_groups` one after another."""
        ...


@dataclass
class Report:
    """What a check has found, a line each.

    Attributes:
        problems: what makes training or evaluation fail, or count for nothing.
        warnings: what may be meant, but mostly is not.
    """

    problems: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


def check_dataset(dataset: Checkable, limit: int | None = None) -> list[str]:
    """Read the files of a data set and return every problem found, a line each that names the file and the reason.

    `limit` bounds the groups of files read (a group is an image with its partners). An empty list means all is well.
    """
    return check_datasets({"": dataset}, limit).problems


def check_datasets(datasets: Mapping[str, Checkable], limit: int | None = None) -> Report:
    """`check_dataset` of several splits by name, with warnings, and with problems that only all of them show."""
    report, surveys = Report(), []
    for split, dataset in datasets.items():
        found = surveys_of(dataset)
        for group in islice(dataset.file_groups(), limit):
            report.problems += read_group(group, found)
        report.warnings += [f"{split}: {line}" if split else line for survey in found for line in survey.warnings()]
        surveys.append(found[0])
    report.problems += surveys[0].problems(surveys) if surveys else []
    return report


def surveys_of(dataset: Checkable) -> list[Survey]:
    """What looks at the groups of a data set; the first is its own. A ValueError for one without `file_groups`."""
    if not isinstance(dataset, Checkable):
        raise ValueError(
            f"dataset={type(dataset).__name__}: expected a data set of denseup.data (one with file_groups)"
        )
    own = dataset.survey() if isinstance(dataset, Surveyable) else Survey()
    return [own, OrientationSurvey()] if getattr(dataset, "apply_orientation", True) else [own]


def read_group(group: FileGroup, surveys: list[Survey]) -> list[str]:
    """Read the files of a group and show them to surveys; what is wrong with them, a line each."""
    problems, arrays, orientations = [], {}, {}
    for path, read in group.items():
        try:
            picture = open_picture(path)
            arrays[path] = read(picture)
            orientations[path] = picture.orientation
        except DataError as error:
            problems.append(str(error))
        except MemoryError:
            problems.append(f"{path}: does not fit into memory; expected a smaller picture")
    try:
        if len(arrays) > 1:
            check_same_size(arrays)
        for survey in surveys:
            survey.add(list(group), arrays, orientations)
    except DataError as error:
        problems.append(str(error))
    return problems
