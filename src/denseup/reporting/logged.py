"""Offline W&B runs → `Run`s, as far as W&B holds what a run folder does.

It holds no values of classes, no versions of packages and no checkpoint: these stay empty. Its table of images is not
read, for it has no counts; differences of such runs tell of other seeds alone.
"""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from denseup.engine.folder import IDENTITY
from denseup.engine.former import upgraded
from denseup.engine.loggers.wandb_reader import LoggedRun, read_run
from denseup.engine.loggers.wandb_run import STEP
from denseup.reporting.loading import EVALUATIONS, TEST, Run, Values, weights_of


def read_logged(files: Sequence[Path]) -> Run:
    """The run in the files `run-<id>.wandb` that share an id, oldest first: one for each time that it was resumed.

    Whatever is wrong with them makes a run that has not finished and says why.
    """
    source = files[-1]
    try:
        return _run(source, _attempt([read_run(file) for file in files]))
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        return Run(source, "unreadable", error=f"{type(error).__name__}: {error}")


def _attempt(parts: Sequence[LoggedRun]) -> Sequence[LoggedRun]:
    """The parts from the last start on: one that goes on from no checkpoint has nothing to do with those before it."""
    starts = [i for i, part in enumerate(parts) if part.config.get("resume") is None]
    return parts[starts[-1] :] if starts else parts


def _run(source: Path, parts: Sequence[LoggedRun]) -> Run:
    logged = parts[-1]
    if not logged.id:
        raise ValueError("no run in it: its process ended before W&B wrote one")
    config = upgraded({key: value for key, value in logged.config.items() if key != "params"})
    if missing := [key for key in IDENTITY if key not in config]:
        raise ValueError(f"not a training run of denseup: its config lacks {', '.join(missing)}")
    named: dict[str, Any] = {
        "task": config["task"]["name"],
        "upsampler": config["upsampler"]["name"],
        "seed": config["seed"],
    }
    if logged.state != "finished":
        failed = f"exit code {logged.exit_code}; W&B holds no message"
        error = failed if logged.state == "failed" else "unfinished, or still running"
        return Run(source, logged.state, **named, config=config, error=error)
    if logged.job_type == "eval":
        metrics = {TEST: _values(logged.summary, f"{TEST}/")}
        weights = weights_of(Path(config["checkpoint"]))
        return Run(source, "finished", **named, config=config, metrics=metrics, weights=weights)
    told = {kind: _values(logged.summary, f"{kind}/") for kind in EVALUATIONS}
    metrics = {kind: values for kind, values in told.items() if values}
    if not {"best", "last"} <= metrics.keys():
        raise ValueError("its summary has no best/… and last/…")
    params = logged.summary.get("params")
    history = _history(parts, logged.summary["last/step"])
    return Run(source, "finished", **named, config=config, metrics=metrics, history=history, params=params)


def _values(row: Mapping[str, Any], prefix: str) -> Values:
    """The numbers under a prefix; None for one that is not finite, which W&B writes as a word."""
    numbers = {key.removeprefix(prefix): value for key, value in row.items() if key.startswith(prefix)}
    return {key: value if _finite(value) else None for key, value in numbers.items() if not isinstance(value, dict)}


def _finite(value: Any) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)


def _history(parts: Sequence[LoggedRun], steps: int) -> list[tuple[int, Values]]:
    """The evaluations. W&B's step counts those before the one that an evaluation comes after, as metrics.csv does.

    Steps between a checkpoint and the interruption were logged twice; the run that goes on counts.
    """
    found: dict[int, Values] = {}
    for part in parts:
        for row in part.history:
            values = _values(row, "val/")
            if values:
                found[min(int(row[STEP]) + 1, steps)] = values
    return sorted(found.items())
