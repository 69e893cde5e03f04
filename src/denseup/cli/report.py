"""Tables, plots and a page from runs: `denseup report runs/sweeps/demo [--complexity FILE]`."""

import argparse
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from denseup.cli.config import EXAMPLES
from denseup.cli.importing import quick_imports


def run(
    paths: Sequence[str | Path],
    output: Path | None = None,
    complexity: Path | None = None,
    examples: int = EXAMPLES,
    latency: bool = True,
    link_pictures: bool = False,
) -> Path:
    """Read the runs in `paths`, and write their report into `output`, else into report/ in the first path's folder.

    Args:
        paths: run folders, or folders that hold them.
        output: where to write.
        complexity: file with latency and memory; without it they are measured here and now.
        examples: how many validation images are shown with their predictions; of each task.
        latency: whether it has latency and memory.
        link_pictures: the page links its pictures and holds none.

    Raises:
        ValueError: no runs in a path, or a file of measurements that is none.
    """
    with quick_imports():
        from denseup.cli.rebuild import count, measure, predict
        from denseup.reporting import load_runs, read_measurements, write_report
        from denseup.reporting.costs import MeasureCosts
        from denseup.reporting.html import MAX_EMBEDDED

    runs = load_runs(paths)
    given = None if complexity is None else read_measurements(complexity)
    known: MeasureCosts = measure if given is None else lambda group: given
    first = Path(paths[0])
    folder = output or (first if first.is_dir() else first.parent) / "report"
    return write_report(
        runs,
        folder,
        count=count,
        measure=known if latency else None,
        predict=partial(predict, examples=examples) if examples else None,
        max_embedded=0 if link_pictures else MAX_EMBEDDED,
    )


def parser() -> argparse.ArgumentParser:
    """The command line."""
    found = argparse.ArgumentParser(prog="report", description=__doc__)
    found.add_argument(
        "paths", nargs="+", metavar="PATH", help="a run, a sweep, offline W&B runs, or a folder that holds them"
    )
    found.add_argument("--output", type=Path, metavar="DIR", help="where to write; default: report/ in the first PATH")
    found.add_argument(
        "--complexity",
        type=Path,
        metavar="FILE",
        help="complexity.json of the command complexity, whose latency and memory are shown",
    )
    found.add_argument("--link-pictures", action="store_true", help="the page links its pictures and holds none")
    found.add_argument("--no-latency", action="store_true", help="leave out latency and memory")
    found.add_argument(
        "--examples", type=int, default=EXAMPLES, metavar="N", help="validation images shown with predictions; 0: none"
    )
    return found


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point; the exit code."""
    chosen = parser().parse_args(argv)
    try:
        page = run(
            chosen.paths,
            chosen.output,
            chosen.complexity,
            examples=chosen.examples,
            latency=not chosen.no_latency,
            link_pictures=chosen.link_pictures,
        )
    except (ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(f"report: {page}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
