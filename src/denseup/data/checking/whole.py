"""Every file of every split of a set, read by several processes: what is broken, what is suspicious, what is sound."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import NamedTuple

from denseup.data.checking.files import Checkable, FileGroup, read_group, surveys_of
from denseup.data.checking.survey import Survey
from denseup.data.parallel import worked
from denseup.data.reading.complaints import keep_complaints
from denseup.data.reading.decoding import DataError

CHUNKS_A_WORKER, LARGEST_CHUNK = 8, 32


@dataclass
class SplitReport:
    """What is known of a split when all its files have been read.

    Attributes:
        groups: images with their partners, of those that were found.
        files: theirs.
        sound: groups whose files have no problem.
        problems: what is broken, a line each that names the file.
        suspects: files that can be used and are mostly not meant so, with what is suspicious.
        warnings: what only all files together show.
        read_before: groups that an earlier split has too.
    """

    groups: int = 0
    files: int = 0
    sound: int = 0
    problems: list[str] = field(default_factory=list)
    suspects: list[tuple[Path, str]] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    read_before: int = 0


Progress = Callable[[str, int, int], None]
"""Called with the split, how many of its groups have been read now, and how many there are."""


def check_whole(
    makers: Mapping[str, Callable[[], Checkable]], workers: int = 0, progress: Progress | None = None
) -> dict[str, SplitReport]:
    """Read all files of several splits; files that two splits share are read once.

    Args:
        makers: split → what looks its files up. What is wrong with the looking up is a problem too.
        workers: processes; 0 reads in this one.
        progress: is told how far it is.
    """
    reports: dict[str, SplitReport] = {}
    surveys: list[Survey] = []
    seen: dict[tuple[Path, ...], bool] = {}
    for split, make in makers.items():
        reports[split] = report = SplitReport()
        dataset = _looked_up(make, report)
        if dataset is None:
            continue
        fresh = _unseen(dataset, seen, report)
        if fresh:
            told = None if progress is None else partial(progress, split)
            own, sound = _read(dataset, fresh, workers, report, told)
            surveys.append(own)
            seen.update(zip(map(tuple, fresh), sound, strict=True))
    if surveys and (joint := surveys[0].problems(surveys)):
        reports[next(iter(reports))].problems += joint
    _say_once(reports.values())
    return reports


class _Read(NamedTuple):
    """What came of a few groups."""

    sound: list[bool]
    problems: list[str]
    surveys: list[Survey]


def _looked_up(make: Callable[[], Checkable], report: SplitReport) -> Checkable | None:
    dataset = None
    with keep_complaints() as heard:
        try:
            dataset = make()
        except DataError as error:
            report.problems.append(str(error))
    report.problems = heard.problems + report.problems
    report.suspects += heard.remarks
    return dataset


def _unseen(dataset: Checkable, seen: Mapping[tuple[Path, ...], bool], report: SplitReport) -> list[FileGroup]:
    """The groups that no earlier split has, of which it is known whether they are sound."""
    groups = list(dataset.file_groups())
    fresh = [group for group in groups if tuple(group) not in seen]
    report.groups, report.read_before = len(groups), len(groups) - len(fresh)
    report.files = sum(map(len, groups))
    report.sound = sum(seen.get(tuple(group), False) for group in groups)
    return fresh


def _read(
    dataset: Checkable,
    groups: Sequence[FileGroup],
    workers: int,
    report: SplitReport,
    progress: Callable[[int, int], None] | None,
) -> tuple[Survey, list[bool]]:
    """Read a split into its report; its own survey of all groups, and which are sound."""
    surveys = surveys_of(dataset)
    size = max(1, min(LARGEST_CHUNK, len(groups) // (CHUNKS_A_WORKER * max(workers, 1))))
    chunks = [groups[start : start + size] for start in range(0, len(groups), size)]
    sound: list[bool] = []
    for read in worked(partial(_read_chunk, dataset), chunks, workers):
        report.problems += read.problems
        sound += read.sound
        for survey, seen in zip(surveys, read.surveys, strict=True):
            survey.merge(seen)
        if progress is not None:
            progress(len(sound), len(groups))
    report.sound += sum(sound)
    report.suspects += [suspect for survey in surveys for suspect in survey.suspects()]
    report.warnings = [line for survey in surveys for line in survey.together()]
    return surveys[0], sound


def _read_chunk(dataset: Checkable, groups: Sequence[FileGroup]) -> _Read:
    surveys = surveys_of(dataset)
    found = [read_group(group, surveys) for group in groups]
    return _Read([not lines for lines in found], [line for lines in found for line in lines], surveys)


def _say_once(reports: Iterable[SplitReport]) -> None:
    """Leave out what has been said: of files that several images share, and of those that several splits have."""
    told: set[str] = set()
    for report in reports:
        report.problems = [line for line in dict.fromkeys(report.problems) if line not in told]
        report.suspects = list(dict.fromkeys(report.suspects))
        told.update(report.problems)
