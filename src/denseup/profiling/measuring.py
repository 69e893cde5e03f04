"""Time and peak memory of calls, side by side: every round runs every call, so that all share the same noise."""

import itertools
import math
import os
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import torch

Call = Callable[[], object]
Clock = Callable[[], float]


@dataclass(frozen=True)
class Timing:
    """Times of one call in seconds, one for each round.

    Args:
        seconds: in the order of the rounds.
    """

    seconds: tuple[float, ...]

    @property
    def median(self) -> float:
        """Median over the rounds."""
        return statistics.median(self.seconds)

    @property
    def quartiles(self) -> tuple[float, float]:
        """First and third quartile over the rounds; the one value where there is but one round."""
        if len(self.seconds) < 2:
            return self.seconds[0], self.seconds[0]
        first, _, third = statistics.quantiles(self.seconds, n=4, method="inclusive")
        return first, third

    def ratio_to(self, other: "Timing") -> float:
        """Median of the ratios to `other` in the same round: a slow spell of the machine hits both."""
        return statistics.median(mine / theirs for mine, theirs in zip(self.seconds, other.seconds, strict=True))


def time_side_by_side(
    calls: Mapping[str, Call],
    *,
    repeats: int = 5,
    warmup: int = 1,
    device: torch.device | None = None,
    least_seconds: float = 0.0,
    clock: Clock | None = None,
) -> dict[str, Timing]:
    """Time several calls in rounds, each round in another order.

    Args:
        calls: name → call.
        repeats: rounds that count.
        warmup: rounds before that do not.
        device: the one that the calls run on, to wait for it; None means the CPU.
        least_seconds: a round repeats a call that is shorter until it has lasted about so long, without waiting in
            between, and takes the mean: the clock and the waiting would else be a part of what it measures.
        clock: tells the seconds that have passed; None means the time on the wall.

    Raises:
        ValueError: repeats is less than 1.
    """
    if repeats < 1:
        raise ValueError(f"repeats is {repeats}, expected at least 1")
    clock = clock or time.perf_counter
    times = {name: _times_to_last(call, least_seconds, device, clock) for name, call in calls.items()}
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    for index in range(warmup + repeats):
        for name in _rotated(list(calls), index):
            took = _time(calls[name], device, clock, times[name])
            if index >= warmup:
                seconds[name].append(took)
    return {name: Timing(tuple(values)) for name, values in seconds.items()}


def peak_memory(call: Call, device: torch.device | None = None) -> int:
    """Bytes that torch's allocator holds at the worst moment of a call, beyond what it held before.

    On the CPU it is the running sum of the allocations that torch's profiler saw, temporaries inside operators
    included; what libraries allocate by themselves is not seen.
    """
    if device is not None and device.type == "cuda":
        torch.cuda.synchronize(device)
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        call()
        torch.cuda.synchronize(device)
        return torch.cuda.max_memory_allocated(device) - before
    activities = [torch.profiler.ProfilerActivity.CPU]
    with (
        _silent_stderr(),
        torch.profiler.profile(activities=activities, profile_memory=True) as profile,
    ):
        call()
    assert profile.profiler is not None
    results = profile.profiler.kineto_results
    assert results is not None
    events = [event for event in results.events() if event.name() == "[memory]"]
    sizes = (event.nbytes() for event in sorted(events, key=lambda event: event.start_ns()))
    return max(itertools.accumulate(sizes), default=0)


@contextmanager
def _silent_stderr() -> Iterator[None]:
    """Drop what native code prints: in some builds of torch the profiler reports each start and stop."""
    sys.stderr.flush()
    kept = os.dup(2)
    sink = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(sink, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(sink)


def _rotated(names: list[str], by: int) -> list[str]:
    by %= len(names) or 1
    return names[by:] + names[:by]


def _times_to_last(call: Call, least_seconds: float, device: torch.device | None, clock: Clock) -> int:
    """How often to call so that it lasts so long; a call to learn its length, after one that may have to compile."""
    if least_seconds <= 0:
        return 1
    call()
    return max(1, math.ceil(least_seconds / max(_time(call, device, clock), 1e-9)))


def _time(call: Call, device: torch.device | None, clock: Clock, times: int = 1) -> float:
    """Seconds of one call, the mean of so many."""
    _wait(device)
    start = clock()
    for _ in range(times):
        call()
    _wait(device)
    return (clock() - start) / times


def _wait(device: torch.device | None) -> None:
    if device is not None and device.type == "cuda":
        torch.cuda.synchronize(device)
