"""From cases to tables, targets, JSON and an exit code: what all benchmarks have in common."""

import argparse
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, replace
from typing import Any

from benchmarks.cases import FAILED, WRONG, Case, Row, Settings, measure
from benchmarks.options import names, settings
from benchmarks.reporting import targets_to_text, to_text, write_json
from benchmarks.targets import TARGETS
from denseup.environment import commit, hardware, versions

MakeCase = Callable[[], Case]
"""Cases are made one at a time: one may fill the memory of the machine."""


def run(
    what: str,
    options: argparse.Namespace,
    cases: Callable[[Settings], Iterable[tuple[str, MakeCase]]],
    summary: Callable[[Sequence[Row]], str] | None = None,
) -> int:
    """Measure, print and write.

    Args:
        what: name of the benchmark, "operators" and so on.
        options: of `options.parser`.
        cases: settings → (name, what makes the case).
        summary: rows of all cases → what is printed after them.

    Returns:
        Exit code: 1 if an entrant was wrong or failed, which its row tells; 2 for an option that cannot be.
    """
    try:
        how = settings(options)
        chosen = [make for name, make in cases(how) if options.case in name]
        if not chosen:
            raise ValueError(f"--case is {options.case!r}, which no case contains: {[n for n, _ in cases(how)]}")
    except ValueError as error:
        print(f"benchmarks.{what}: {error}", file=sys.stderr)
        return 2
    print(_header(what, how), flush=True)
    rows = _measure_all(chosen, how, names(options.only))
    if summary is not None:
        print(summary(rows))
    judged = [] if options.quick else [t.judge(rows) for t in TARGETS[what] if t.device == how.device.type]
    if judged:
        print(targets_to_text(judged))
    about = {"quick": options.quick, "settings": _plain(how), "targets": judged}
    print(f"written: {write_json(what, options.output, how.device, rows, about)}", flush=True)
    return int(any(row.status in (WRONG, FAILED) for row in rows))


def _measure_all(cases: Sequence[MakeCase], how: Settings, only: Sequence[str]) -> list[Row]:
    rows = []
    for make in cases:
        of_case = measure(_restricted(make(), only), how)
        print(to_text(of_case), flush=True)
        rows += of_case
    return rows


def _restricted(case: Case, only: Sequence[str]) -> Case:
    """The entrants asked for; the baseline stays, because ratios are told against it."""
    keep = [e for e in case.entrants if not only or e.name == case.baseline or any(part in e.name for part in only)]
    return replace(case, entrants=keep)


def _plain(how: Settings) -> dict[str, Any]:
    return {**asdict(how), "device": str(how.device)}


def _header(what: str, how: Settings) -> str:
    machine, packages = hardware(how.device), versions()
    device = machine.get("accelerator") or f"{machine['processor']}, {machine['threads']} threads"
    speed = f"a big copy moves {how.bandwidth / 1e9:.1f} GB/s" if how.bandwidth else ""
    rounds = f"{how.rounds} rounds, each of at least {how.least_seconds:g} s a call"
    lines = [
        f"benchmarks.{what} on {device}; {speed}",
        f"denseup {packages['denseup']} at {commit()}, torch {packages['torch']}; {rounds}; * chosen by denseup itself",
    ]
    return "\n".join(lines) + "\n"
