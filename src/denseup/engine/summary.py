"""The table that closes a run."""

import math
from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from denseup.engine.folder import RunFolder
from denseup.tasks import DenseTask

TITLES = {
    "sad": "SAD [10³] ↓",
    "mse": "MSE ↓",
    "grad": "Grad [10³] ↓",
    "conn": "Conn [10³] ↓",
    "miou": "mIoU ↑",
    "macc": "mAcc ↑",
    "aacc": "aAcc ↑",
    "biou": "bIoU ↑",
}
TRIVIAL = {"matting": "trivial (0.5 where unknown)", "segmentation": "trivial (most frequent class)"}


def print_summary(
    result: dict[str, Any],
    task: DenseTask,
    folder: RunFolder,
    notes: Sequence[str] = (),
    console: Console | None = None,
) -> None:
    """Print the validation metrics of the best and the last evaluation beside the trivial answer's, and the paths."""
    console = console or Console()
    rows = [(f"{kind} (step {int(values['step'])})", values) for kind, values in result["metrics"].items()]
    rows.append((TRIVIAL[task.name], result["baseline"]))
    console.print(metrics_table(f"{result['task']} · {result['upsampler']} · seed {result['seed']}", rows))
    console.print(_comparison(result), highlight=False, markup=False)
    paths = {"checkpoint": result["checkpoint"], "predictions": result["picture"], "result": folder.result.name}
    for name, path in paths.items():
        if path is not None:
            console.print(f"{name}: {folder.path / path}", highlight=False, soft_wrap=True, markup=False)
    for note in notes:
        console.print(note, highlight=False, soft_wrap=True, markup=False)


def metrics_table(title: str, rows: list[tuple[str, dict[str, float]]]) -> Table:
    """A row for each (name, metrics); a metric that a row lacks is left empty."""
    table = Table(title=escape(title))
    table.add_column("")
    names = [name for name in TITLES if any(name in values for _, values in rows)]
    for name in names:
        table.add_column(TITLES[name], justify="right")
    for label, values in rows:
        table.add_row(escape(label), *(_shown(values[name]) if name in values else "" for name in names))
    return table


def _comparison(result: dict[str, Any]) -> str:
    """How far the best is from the trivial answer, in the words of the task, as far as there are such numbers."""
    monitor = result["monitor"]
    best, trivial = result["metrics"]["best"][monitor], result["baseline"].get(monitor)
    title = TITLES[monitor].rsplit(" ", 1)[0]
    if not (_is_finite(best) and _is_finite(trivial) and trivial):
        return f"best {title} {_shown(best)}; the trivial answer's: {_shown(trivial)}"
    if result["mode"] == "min":
        side = "under" if best <= trivial else "above"
        return f"best {title} {best:.4f}: {abs(1 - best / trivial):.1%} {side} the trivial answer's {trivial:.4f}"
    return f"best {title} {best:.4f}: {best / trivial:.2f} × the trivial answer's {trivial:.4f}"


def _is_finite(value: float | None) -> bool:
    return value is not None and math.isfinite(value)


def _shown(value: float | None) -> str:
    """A metric in four digits; null in result.json, NaN here, is one that nothing was measured for."""
    return f"{value:.4f}" if value is not None and math.isfinite(value) else "undefined"
