"""A case: several ways to do one thing. Each is held to the truth before it is timed, all are timed side by side."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import torch

from denseup.profiling import Timing, peak_memory, time_side_by_side
from denseup.profiling.measuring import Call, Clock

OK, SKIPPED, WRONG, FAILED = "ok", "skipped", "wrong", "failed"


class SkipError(Exception):
    """Why an entrant cannot take part; the message is printed in its row."""


@dataclass(frozen=True)
class Work:
    """An entrant made ready.

    Args:
        calls: kind, such as "forward" → what is timed.
        check: compares what it computes with the truth: the error, and which result has it (`parity.worst_error`).
        traffic: kind → bytes that any implementation has to read and write; none where no such floor is known.
    """

    calls: Mapping[str, Call]
    check: Callable[[], tuple[float, str]]
    traffic: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Entrant:
    """One way to do what the case is about.

    Args:
        name: of the row.
        prepare: makes it ready; a `SkipError` or ValueError says why that is impossible here.
        automatic: this is what a user of denseup gets who chooses nothing.
    """

    name: str
    prepare: Callable[[], Work]
    automatic: bool = False


@dataclass(frozen=True)
class Case:
    """What is compared.

    Args:
        name: what is done, at which size, in which precision.
        entrants: in the order of the table.
        baseline: name of the entrant that ratios are told against.
        tolerance: greatest error that is let pass, as `worst_error` measures it; 0 means equal.
        clock: what the calls are timed by; None means the time on the wall.
    """

    name: str
    entrants: Sequence[Entrant]
    baseline: str
    tolerance: float
    clock: Clock | None = None


@dataclass(frozen=True)
class Settings:
    """How cases are measured.

    Args:
        device: the one that the calls run on.
        rounds: that count, after one of warm-up.
        least_seconds: a round repeats a shorter call until it has lasted so long.
        bandwidth: bytes a second of a big copy on this device, the measure of the memory-traffic floor.
        memory: whether peak memory is measured too.
    """

    device: torch.device
    rounds: int = 7
    least_seconds: float = 0.05
    bandwidth: float | None = None
    memory: bool = True


@dataclass
class Row:
    """What came of one entrant in one kind of call; `status` says whether there is a timing, `reason` why not."""

    case: str
    kind: str
    entrant: str
    status: str = OK
    reason: str = ""
    automatic: bool = False
    baseline: str = ""
    error: float | None = None
    tolerance: float | None = None
    timing: Timing | None = None
    ratio: float | None = None
    floor_seconds: float | None = None
    peak_bytes: int | None = None

    @property
    def floor_ratio(self) -> float | None:
        """Median time in units of the memory-traffic floor; None where one of the two is not known."""
        return self.timing.median / self.floor_seconds if self.timing and self.floor_seconds else None


SETTLING_BYTES = 31 * 2**20
"""Just below the largest block that glibc's malloc takes into account for what it keeps of freed memory."""


def measure(case: Case, settings: Settings) -> list[Row]:
    """Check every entrant of a case, then time those that are right, one kind after the other."""
    _settle_allocator()
    verdicts = {entrant.name: _admit(entrant, case) for entrant in case.entrants}
    ready = {name: work for name, (_, work) in verdicts.items() if work is not None}
    kinds = list(dict.fromkeys(kind for work in ready.values() for kind in work.calls))
    rows = [row for row, work in verdicts.values() if work is None]
    for kind in kinds:
        admitted = {name: verdicts[name][0] for name, work in ready.items() if kind in work.calls}
        rows += _time(kind, admitted, ready, case, settings)
    return rows


def _settle_allocator() -> None:
    """Free one large block, as any process has that ran a network.

    How much freed memory glibc keeps for the next tensor, instead of giving it back and getting it again page by page,
    follows from the largest block, up to 32 MiB, that it has ever freed. Without this, times would depend on which case
    came first.
    """
    torch.empty(SETTLING_BYTES, dtype=torch.uint8)


def _admit(entrant: Entrant, case: Case) -> tuple[Row, Work | None]:
    """The entrant's row so far, and its work if it may be timed."""
    row = Row(case.name, "", entrant.name, automatic=entrant.automatic, baseline=case.baseline)
    try:
        work = entrant.prepare()
        row.tolerance = case.tolerance
        row.error, worst = work.check()
    except (SkipError, ValueError, torch.OutOfMemoryError) as error:
        row.status, row.reason = SKIPPED, first_line(error)
        return row, None
    except Exception as error:  # a broken entrant is reported, and the others still run
        row.status, row.reason = FAILED, f"{type(error).__name__}: {first_line(error)}"
        return row, None
    if not row.error <= case.tolerance:
        row.status, row.reason = WRONG, f"{worst}: error {row.error:.1e}, tolerance {case.tolerance:.0e}"
        return row, None
    return row, work


def _time(
    kind: str, admitted: Mapping[str, Row], works: Mapping[str, Work], case: Case, settings: Settings
) -> Iterable[Row]:
    calls = {name: works[name].calls[kind] for name in admitted}
    device = settings.device
    timings = time_side_by_side(
        calls, repeats=settings.rounds, device=device, least_seconds=settings.least_seconds, clock=case.clock
    )
    for name, call in calls.items():
        row = Row(**{**vars(admitted[name]), "kind": kind, "timing": timings[name]})
        if case.baseline in timings:
            row.ratio = timings[name].ratio_to(timings[case.baseline])
        if settings.bandwidth and kind in works[name].traffic:
            row.floor_seconds = works[name].traffic[kind] / settings.bandwidth
        if settings.memory:
            row.peak_bytes = peak_memory(call, device)
        yield row


def first_line(error: BaseException) -> str:
    """Of the message, for a table; the error's type where it has none."""
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
