"""What the networks of the runs cost: counted from the runs' own configs, measured where somebody has measured."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from denseup.reporting.group import Group
from denseup.reporting.loading import Run

COUNT_SIZE = 512
"""Side of the square input at which operations are counted, as in the published table."""

Count = Callable[[Run], tuple[int, float]]
"""run → (parameters, GFLOPs at COUNT_SIZE) of its network."""


@dataclass(frozen=True)
class Cost:
    """Of one upsampler's network; None where it is not known.

    Args:
        params: parameters of the whole network.
        gflops: 10⁹ multiply-adds of the whole network.
        forward_ms: inference of one batch.
        forward_peak_mib: peak memory of it, beyond weights and input.
    """

    params: int | None = None
    gflops: float | None = None
    forward_ms: float | None = None
    forward_peak_mib: float | None = None


@dataclass(frozen=True)
class Measurements:
    """Latency and memory of networks.

    Args:
        rows: task and upsampler → row with "params", "forward_ms" and "forward_peak_mib"; a group's label may stand for
            the upsampler.
        conditions: how it was measured, in words.
    """

    rows: Mapping[tuple[str, str], Mapping[str, Any]]
    conditions: str


MeasureCosts = Callable[[Group], Measurements | None]
"""group → latency and memory of its networks."""


def read_measurements(path: str | Path) -> Measurements:
    """Read complexity.json.

    Raises:
        ValueError: no such file, or another kind of file.
    """
    expected = "expected the complexity.json that python -m src.complexity writes"
    try:
        found = json.loads(Path(path).read_text())
        rows = {(row["task"], row["upsampler"]): row for row in found["rows"]}
        return Measurements(rows, conditions(found["config"]["latency"], found["hardware"]))
    except OSError as error:
        raise ValueError(f"--complexity is {str(path)!r}: {error.strerror}; {expected}") from error
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"--complexity is {str(path)!r}: not such a file ({error!r}); {expected}") from error


def collect_costs(
    group: Group, count: Count | None = None, measured: Measurements | None = None
) -> tuple[dict[str, Cost], list[str]]:
    """Label → cost of each upsampler of a group, and notes on what is missing and why.

    Args:
        group: its runs.
        count: how to count a network; without it there are no GFLOPs.
        measured: latency and memory of networks; it counts only for those with as many parameters.
    """
    costs, notes = {}, []
    for label, by_seed in group.members.items():
        run = next(iter(by_seed.values()))
        params, gflops, note = _counted(run, label, count)
        timing, other_note = _measured(run, label, params, measured)
        costs[label] = Cost(params, gflops, timing.get("forward_ms"), timing.get("forward_peak_mib"))
        notes += [text for text in (note, other_note) if text]
    return costs, notes


def _counted(run: Run, label: str, count: Count | None) -> tuple[int | None, float | None, str]:
    if count is None:
        return run.params, None, ""
    try:
        params, gflops = count(run)
    except Exception as error:  # whatever keeps one network from being built must not cost the report
        return run.params, None, f"{label}: GFLOPs not counted: {type(error).__name__}: {error}"
    if run.params not in (None, params):
        was = f"{label}: GFLOPs not counted: its config gives {params:,} parameters now, the run had {run.params:,}"
        return run.params, None, was
    return params, gflops, ""


def _measured(run: Run, label: str, params: int | None, measured: Measurements | None) -> tuple[Mapping[str, Any], str]:
    if run.cost or measured is None:
        return run.cost, ""
    row = measured.rows.get((run.task, label)) or measured.rows.get((run.task, run.upsampler))
    if row is None or "forward_ms" not in row:
        return {}, f"{label}: no latency measured"
    if row["params"] != params:
        other = f"{row['params']:,} parameters, the runs' has {params:,}" if params else "another size"
        return {}, f"{label}: latency left out: the network measured has {other}"
    return row, ""


def conditions(latency: Mapping[str, Any], hardware: Mapping[str, Any]) -> str:
    """What was measured and on what machine: the values of a `LatencySettings`, and `denseup.environment.hardware`."""
    size = latency["input_size"]
    machine = ", ".join(f"{key} {value}" for key, value in hardware.items() if isinstance(value, str | int))
    return f"{latency['batch_size']}×{size}×{size}, median of {latency['repeats']} rounds; {machine}"
