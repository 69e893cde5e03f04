"""The table that closes a run."""

import math
from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from denseup.engine.folder import RunFolder
from denseup.metrics import MetricInfo
from denseup.tasks import DenseTask


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
    rows.append((f"trivial ({task.trivial})", result["baseline"]))
    infos = task.metrics.values
    console.print(metrics_table(f"{result['task']} · {result['upsampler']} · seed {result['seed']}", rows, infos))
    monitored = next(info for info in infos if info.key == task.monitor)
    console.print(_comparison(result, monitored), highlight=False, markup=False)
    paths = {"checkpoint": result["checkpoint"], "predictions": result["picture"], "result": folder.result.name}
    for name, path in paths.items():
        if path is not None:
            console.print(f"{name}: {folder.path / path}", highlight=False, soft_wrap=True, markup=False)
    for note in notes:
        console.print(note, highlight=False, soft_wrap=True, markup=False)


def metrics_table(title: str, rows: list[tuple[str, dict[str, float]]], infos: Sequence[MetricInfo]) -> Table:
    """A row for each (name, metrics) with the values that are described; one that a row lacks is left empty."""
    table = Table(title=escape(title))
    table.add_column("")
    described = {info.key: info for info in infos}
    names = [name for name in dict.fromkeys(name for _, values in rows for name in values) if name in described]
    for name in names:
        table.add_column(escape(described[name].computed_heading), justify="right")
    for label, values in rows:
        table.add_row(escape(label), *(shown(values[name]) if name in values else "" for name in names))
    return table


def _comparison(result: dict[str, Any], info: MetricInfo) -> str:
    """How far the best is from the trivial answer, in the words of the task, as far as there are such numbers."""
    best, trivial = result["metrics"]["best"][info.key], result["baseline"].get(info.key)
    title = info.computed_title
    if not (_is_finite(best) and _is_finite(trivial) and trivial):
        return f"best {title} {shown(best)}; the trivial answer's: {shown(trivial)}"
    if not info.higher_is_better:
        side = "under" if best <= trivial else "above"
        return f"best {title} {best:.4f}: {abs(1 - best / trivial):.1%} {side} the trivial answer's {trivial:.4f}"
    return f"best {title} {best:.4f}: {best / trivial:.2f} × the trivial answer's {trivial:.4f}"


def _is_finite(value: float | None) -> bool:
    return value is not None and math.isfinite(value)


def shown(value: float | None) -> str:
    """A metric in four digits; null in result.json, NaN here, is one that nothing was measured for."""
    return f"{value:.4f}" if value is not None and math.isfinite(value) else "undefined"
