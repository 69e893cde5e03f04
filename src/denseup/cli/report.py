"""Tables, plots and a page from runs: `denseup report runs/sweeps/demo [latency=false]`."""

import argparse
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from omegaconf import DictConfig
from rich.console import Console

from denseup.cli import stopping
from denseup.cli.composing import printed_errors, settings
from denseup.cli.config import EXAMPLES, plain
from denseup.cli.importing import quick_imports
from denseup.cli.places import CONF


def run(
    paths: Sequence[str | Path],
    output: Path | None = None,
    complexity: Path | None = None,
    examples: int = EXAMPLES,
    latency: bool = True,
    link_pictures: bool = False,
    evaluation: str | None = None,
    archive: Path | None = None,
) -> Path:
    """Read the runs in `paths`, and write their report into `output`, else into report/ in the first path's folder.

    Args:
        paths: run folders, or folders that hold them.
        output: where to write.
        complexity: file with latency and memory; without it they are measured here and now.
        examples: how many validation images are shown with their predictions; of each task.
        latency: whether it has latency and memory.
        link_pictures: the page links its pictures and holds none.
        evaluation: which of each run's is told; None for what its protocol says, else the best.
        archive: file in which what the report needs of the runs is kept too (`denseup.reporting.write_archive`).

    Raises:
        ValueError: no runs in a path, a file of measurements that is none, an evaluation that no run has, or runs that
            the archive can't hold.
    """
    with quick_imports():
        from denseup.cli.rebuild import count, measure, predict
        from denseup.reporting import load_runs, read_measurements, write_archive, write_report
        from denseup.reporting.costs import MeasureCosts
        from denseup.reporting.html import MAX_EMBEDDED

    runs = load_runs(paths)
    if archive is not None:
        write_archive(runs, archive, evaluation)
    given = None if complexity is None else read_measurements(complexity)
    known: MeasureCosts = measure if given is None else lambda group: given
    first = Path(paths[0])
    folder = output or (first if first.is_dir() else first.parent) / "report"
    return write_report(
        runs,
        folder,
        evaluation=evaluation,
        count=count,
        measure=known if latency else None,
        predict=partial(predict, examples=examples) if examples else None,
        max_embedded=0 if link_pictures else MAX_EMBEDDED,
    )


def write_at_the_end(folder: Path) -> None:
    """Write the report of all runs in a folder; a failure is printed, for the runs themselves are fine."""
    try:
        message = f"report: {run([folder])}"
    except ModuleNotFoundError as error:
        message = f"no report: it needs {error.name}: pip install 'denseup[report]'"
    except Exception as error:
        message = f"no report: {type(error).__name__}: {error}"
    Console().print(message, highlight=False, soft_wrap=True, markup=False)


def parser() -> argparse.ArgumentParser:
    """The command line; each flag says what a key of conf/report.yaml says."""
    found = argparse.ArgumentParser(
        prog="report",
        description=__doc__,
        epilog=(CONF / "report.yaml").read_text(),
        argument_default=argparse.SUPPRESS,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    found.add_argument(
        "words",
        nargs="+",
        metavar="PATH|KEY=VALUE",
        help="a run, a sweep, an archive, offline W&B runs, or a folder that holds them; or a value of the config",
    )
    found.add_argument("--output", metavar="DIR", help="where to write; default: report/ in the first PATH")
    found.add_argument(
        "--complexity",
        metavar="FILE",
        help="complexity.json of the command complexity, whose measurements are shown",
    )
    found.add_argument("--archive", metavar="FILE", help="also keep what the report needs of the runs in a .tar.xz")
    found.add_argument("--link-pictures", action="store_true", help="the page links its pictures and holds none")
    found.add_argument("--no-latency", action="store_false", dest="latency", help="leave out latency and memory")
    found.add_argument("--examples", metavar="N", help="validation images shown with predictions; 0: none")
    return found


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point; the exit code."""
    flags = vars(parser().parse_args(argv))
    with printed_errors():
        cfg = settings("report", flags.pop("words"), flags)
    try:
        page = run(**_checked(cfg))
    except (ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(f"report: {page}")
    return 0


def _checked(cfg: DictConfig) -> dict[str, Any]:
    """Arguments of `run`; ValueError that names a value that is none."""
    options: dict[str, Any] = plain(cfg)
    if not options["paths"]:
        raise ValueError("paths is [], expected the path of a run, a sweep, or a folder that holds them")
    for name in ("latency", "link_pictures"):
        if not isinstance(options[name], bool):
            raise ValueError(f"{name} is {options[name]!r}, expected true or false")
    if not str(options["examples"]).isdecimal():
        raise ValueError(f"examples is {options['examples']!r}, expected a whole number ≥ 0")
    paths = ("output", "complexity", "archive")
    files = {name: None if options[name] is None else Path(options[name]) for name in paths}
    return {**options, **files, "examples": int(options["examples"])}


if __name__ == "__main__":
    sys.exit(stopping.run(main))
