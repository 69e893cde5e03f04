"""What the commands that make the files of a data set print."""

from collections import Counter
from collections.abc import Iterable
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from denseup.cli.saying import tell

if TYPE_CHECKING:
    from denseup.data.building.built import Built


def told(files: "Iterable[Built]", total: int, kind: str, where: object) -> int:
    """Make the files under a progress bar; failures and the sums are printed. How many failed."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    counts: Counter[str] = Counter()
    with Progress(*columns, TimeRemainingColumn(), console=Console(stderr=True), transient=True) as progress:
        bar = progress.add_task("building", total=total)
        for built in files:
            counts[built.status] += 1
            progress.update(bar, advance=1, description=built.target.stem)
            if built.status == "failed":
                tell(f"failed: {built.target.name}: {built.reason}")
    sums = ", ".join(f"{counts[status]} {status}" for status in ("built", "kept", "failed"))
    tell(f"{total} {kind}: {sums}: {where}")
    return counts["failed"]
