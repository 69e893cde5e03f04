"""Read every file of a data set before training: `denseup check_data data=SET data.root=PATH`."""

import sys
from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from denseup.cli import stopping
from denseup.cli.arguments import exit_code
from denseup.cli.config import plain
from denseup.cli.data_arguments import data_command
from denseup.cli.importing import quick_imports

if TYPE_CHECKING:
    from denseup.data.checking.whole import SplitReport


def run(cfg: DictConfig, console: Console | None = None) -> dict[str, "SplitReport"]:
    """Read the splits and say what is broken, what is suspicious and what is sound.

    Raises:
        ValueError: a value that is none.
    """
    with quick_imports():
        from denseup.cli.build import instantiate_data
        from denseup.cli.checks import check_workers
        from denseup.data.checking.whole import check_whole
        from denseup.data.reading.splits import SPLITS

    data = instantiate_data(cfg)
    splits = _splits(plain(cfg)["splits"], data.parts())
    workers = check_workers(cfg.num_workers)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        bar = progress.add_task("reading")

        def tell(split: str, done: int, total: int) -> None:
            progress.update(bar, description=split, completed=done, total=total)

        makers: dict[str, Any] = {split: partial(data.dataset, split) for split in splits}
        reports = check_whole(makers, workers, tell)
    lacking = [split for split in SPLITS if cfg.splits is None and split not in splits]
    _print(reports, lacking, console or Console())
    return reports


def failed(reports: Mapping[str, "SplitReport"], strict: bool) -> bool:
    """Whether the exit code is 1."""
    return any(report.problems or (strict and (report.suspects or report.warnings)) for report in reports.values())


def _splits(given: Any, known: Sequence[str]) -> Sequence[str]:
    """The splits asked for; a ValueError for others than train, val and test."""
    from denseup.data.reading.splits import SPLITS

    if given is None:
        return known
    wanted = [given] if isinstance(given, str) else list(given)
    if not wanted or not set(wanted) <= set(SPLITS):
        raise ValueError(f"splits is {given!r}, expected some of {', '.join(SPLITS)}")
    return [split for split in SPLITS if split in wanted]


def _print(reports: Mapping[str, "SplitReport"], lacking: Sequence[str], console: Console) -> None:
    """Lines for each file, then one for each split; `lacking` are splits that the set has not."""

    def say(text: str) -> None:
        console.print(text, highlight=False, soft_wrap=True, markup=False)

    for split, report in reports.items():
        for line in report.problems:
            say(f"broken: {split}: {line}")
        for path, what in report.suspects:
            say(f"suspicious: {split}: {path}: {what}")
        for line in report.warnings:
            say(f"suspicious: {split}: {line}")
    for split, report in reports.items():
        say(_summary(split, report))
    if reports and lacking:
        say(f"{', '.join(lacking)}: no such split; the set is for evaluation alone (data.splits names its folders)")


def _summary(split: str, report: "SplitReport") -> str:
    read = f"{report.groups} groups of {report.files} files"
    if report.read_before:
        read += f", {report.read_before} of them an earlier split's too"
    suspicious = len(report.suspects) + len(report.warnings)
    return f"{split}: {read}; {report.sound} sound, {len(report.problems)} broken, {suspicious} suspicious"


def parse(arguments: Sequence[str] | None) -> DictConfig:
    """The command line: values of conf/check_data.yaml."""
    return data_command("check_data", __doc__, arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point; the exit code: 1 if anything is broken."""
    cfg = parse(arguments)
    return exit_code(lambda: int(failed(run(cfg), cfg.strict)))


if __name__ == "__main__":
    sys.exit(stopping.run(main))
