"""Two versions of denseup side by side: `python -m benchmarks.compare BEFORE AFTER`; exit code 1 if AFTER is slower.

A version is a commit of this clone, or the folder of a clone. Each has a process of its own, which stays; every round
asks both for a step, in turns, so that a slow spell of the machine hits both. What is judged is the ratio within a
round: the 95 % interval of its median over the rounds, which are added until it lies on one side of the limit. A case
whose results are wrong in either version is not timed. Freed memory stays with the processes (glibc): where it is given
back page by page, times follow the order of allocations more than the code.
"""

import argparse
import json
import math
import os
import statistics
import subprocess
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, cast

from benchmarks import version_worker
from benchmarks.checkouts import checkout

HEAP = {"MALLOC_TRIM_THRESHOLD_": str(2**33), "MALLOC_MMAP_THRESHOLD_": str(2**33)}
OK, SLOWER, UNDECIDED, WRONG = "ok", "SLOWER", "UNDECIDED", "WRONG"
CONFIDENCE = 0.95


class Worker:
    """The process of one version.

    Args:
        clone: its folder.
        seconds: how long a round repeats a step.
    """

    def __init__(self, clone: Path, seconds: float) -> None:
        environment = os.environ | HEAP | {"PYTHONPATH": str(clone / "src")}
        command = [sys.executable, version_worker.__file__, str(seconds)]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment, cwd=clone
        )

    def ask(self, what: str, case: str) -> dict[str, Any]:
        """The answer to "check" or "time"."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps({"do": what, "case": case}) + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        if not answer:
            raise RuntimeError(f"the process of a version ended in {case!r}, with exit code {self.process.wait()}")
        return cast(dict[str, Any], json.loads(answer))

    def close(self) -> None:
        """End the process."""
        self.process.kill()
        self.process.wait()


@dataclass
class Row:
    """What came of one case; without seconds where it is wrong.

    Args:
        case: its name.
        verdict: "ok", "SLOWER", "UNDECIDED" or "WRONG".
        reason: what is wrong.
        errors: of both versions.
        seconds: of a step, before and after, round by round.
    """

    case: str
    verdict: str = OK
    reason: str = ""
    errors: list[float | None] = field(default_factory=list)
    seconds: list[tuple[float, float]] = field(default_factory=list)

    @property
    def ratios(self) -> list[float]:
        """After over before, round by round."""
        return [after / before for before, after in self.seconds]


def median_interval(values: Sequence[float], confidence: float = CONFIDENCE) -> tuple[float, float, float]:
    """Low end, median and high end: order statistics whose ranks a binomial distribution gives, whatever the values'.

    Infinite ends where there are too few values for the confidence: fewer than six for 95 %.
    """
    ordered, n = sorted(values), len(values)
    below, outside = 0.0, (1 - confidence) / 2
    for rank in range(n // 2 + 1):
        below += math.comb(n, rank) / 2**n
        if below > outside:
            break
    middle = statistics.median(ordered)
    return (-math.inf, middle, math.inf) if rank == 0 else (ordered[rank - 1], middle, ordered[n - rank])


def verdict(ratios: Sequence[float], limit: float) -> str:
    """On which side of 1 + limit the median lies, as far as the rounds can tell."""
    low, _, high = median_interval(ratios)
    return SLOWER if low > 1 + limit else OK if high <= 1 + limit else UNDECIDED


def compare(case: str, before: Worker, after: Worker, rounds: int, most: int, limit: float) -> Row:
    """Check both versions, then rounds of both, each first in every other one, until the verdict stands."""
    row = _checked(case, before, after)
    while row.verdict != WRONG and len(row.seconds) < most:
        first, second = (before, after) if len(row.seconds) % 2 else (after, before)
        times = {id(worker): worker.ask("time", case)["seconds"] for worker in (first, second)}
        row.seconds.append((times[id(before)], times[id(after)]))
        row.verdict = verdict(row.ratios, limit)
        if len(row.seconds) >= rounds and row.verdict != UNDECIDED:
            break
    return row


def _checked(case: str, before: Worker, after: Worker) -> Row:
    row = Row(case)
    for name, worker in (("before", before), ("after", after)):
        found = worker.ask("check", case)
        row.errors.append(found.get("error"))
        if "failed" in found:
            row.verdict, row.reason = WRONG, f"{name}: {found['failed']}"
        elif not found["error"] <= found["tolerance"]:
            row.verdict = WRONG
            row.reason = f"{name}: {found['worst']}: error {found['error']:.1e}, tolerance {found['tolerance']:.0e}"
    return row


def line(row: Row) -> str:
    """Of the table; no time of a case that is wrong."""
    if row.verdict == WRONG:
        return f"{row.case:34} {row.verdict}: {row.reason}"
    low, middle, high = median_interval(row.ratios)
    before, after = (statistics.median(column) for column in zip(*row.seconds, strict=True))
    times = f"{1e3 * before:9.3f} → {1e3 * after:9.3f} ms"
    return f"{row.case:34} {times}  {middle:.3f} ({low:.3f} … {high:.3f}, {len(row.seconds)} rounds)  {row.verdict}"


def about(commits: Sequence[str]) -> dict[str, Any]:
    """What the figures were measured with."""
    import torch

    from denseup.environment import hardware, versions

    return {"commits": list(commits), "hardware": hardware(torch.device("cpu")), "versions": versions()}


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.compare", description=__doc__)
    parser.add_argument("before", metavar="BEFORE", help="a commit, or the folder of a clone with its C kernels built")
    parser.add_argument("after", metavar="AFTER", help="the same; . is this clone as it lies here")
    parser.add_argument("--limit", type=float, default=5.0, metavar="PERCENT", help="how much slower is let pass (5)")
    parser.add_argument("--rounds", type=int, default=21, help="least number of rounds (21)")
    parser.add_argument("--most-rounds", type=int, default=105, help="rounds after which a case stays undecided (105)")
    parser.add_argument("--repeats", type=float, default=0.3, metavar="SECONDS", help="how long a round repeats a step")
    parser.add_argument("--case", default="", help="only cases whose name contains it")
    parser.add_argument("--output", type=Path, help="JSON file")
    options = parser.parse_args(argv)
    if not 1 <= options.rounds <= options.most_rounds:
        parser.error(f"--rounds is {options.rounds}, expected 1 to --most-rounds, {options.most_rounds}")
    options.cases = [name for name in version_worker.cases() if options.case in name]
    if not options.cases:
        parser.error(f"--case is {options.case!r}, which is in none of: {', '.join(version_worker.cases())}")
    return options


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point; 0 only if every case is right in both versions, and not slower."""
    options = parse(argv)
    with ExitStack() as stack:
        try:
            places = [stack.enter_context(checkout(version)) for version in (options.before, options.after)]
        except ValueError as error:
            print(f"benchmarks.compare: {error}", file=sys.stderr)
            return 2
        before, after = (Worker(folder, options.repeats) for folder, _ in places)
        stack.callback(before.close)
        stack.callback(after.close)
        names = [name for _, name in places]
        print(f"{names[0]} → {names[1]}; ratio: after over before, median (95 %)", flush=True)
        rows = []
        for case in options.cases:
            rows.append(compare(case, before, after, options.rounds, options.most_rounds, options.limit / 100))
            print(line(rows[-1]), flush=True)
    if options.output:
        record = {**about(names), "limit_percent": options.limit, "rows": [asdict(row) for row in rows]}
        options.output.write_text(json.dumps(record) + "\n")
    return int(any(row.verdict != OK for row in rows))


if __name__ == "__main__":
    sys.exit(main())
