"""Timing in rounds, its statistics, and peak memory of calls whose peak is known."""

import time

import pytest
import torch

from denseup.networks import MattingResNet34
from denseup.profiling import (
    LatencySettings,
    Subject,
    Timing,
    measure_latency,
    measuring,
    peak_memory,
    time_side_by_side,
)
from denseup.profiling.table import COLUMNS
from denseup.upsamplers import upsampler_factory

MIB = 2**20


def test_rounds_take_turns() -> None:
    order: list[str] = []
    calls = {name: (lambda name=name: order.append(name)) for name in "abc"}
    timings = time_side_by_side(calls, repeats=2, warmup=1)
    assert "".join(order) == "abc" + "bca" + "cab"
    assert {name: len(timing.seconds) for name, timing in timings.items()} == {"a": 2, "b": 2, "c": 2}
    with pytest.raises(ValueError, match="repeats is 0"):
        time_side_by_side(calls, repeats=0)


class Clock:
    """Stands in for the module time: its time passes in `sleep` alone, whatever else the machine has to do."""

    def __init__(self) -> None:
        self.now = 0.0

    def sleep(self, seconds: float) -> None:
        self.now += seconds

    def perf_counter(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(measuring, "time", clock)
    return clock


def test_the_time_of_a_call_is_the_time_that_passes_in_it() -> None:
    start = time.perf_counter()
    timings = time_side_by_side({"sleep": lambda: time.sleep(0.005)}, repeats=3, warmup=0)
    whole = time.perf_counter() - start
    assert all(seconds >= 0.005 for seconds in timings["sleep"].seconds)
    assert sum(timings["sleep"].seconds) <= whole


def test_a_slower_call_takes_longer(clock: Clock) -> None:
    timings = time_side_by_side({"short": lambda: clock.sleep(0.005), "long": lambda: clock.sleep(0.02)}, repeats=3)
    assert timings["short"].seconds == pytest.approx((0.005,) * 3)
    assert timings["long"].ratio_to(timings["short"]) == pytest.approx(4)


def test_short_calls_are_repeated_within_a_round(clock: Clock) -> None:
    count = {"short": 0, "long": 0}

    def call(name: str, seconds: float) -> None:
        count[name] += 1
        clock.sleep(seconds)

    calls = {"short": lambda: call("short", 0.003), "long": lambda: call("long", 0.02)}
    timings = time_side_by_side(calls, repeats=1, warmup=0, least_seconds=0.01)
    # One call that may compile, one to learn its length, and those that count: four of 3 ms last 10 ms.
    assert count == {"short": 2 + 4, "long": 2 + 1}
    assert timings["short"].median == pytest.approx(0.003)
    assert timings["long"].median == pytest.approx(0.02)


def test_statistics() -> None:
    timing = Timing((4.0, 1.0, 2.0, 3.0, 5.0))
    assert (timing.median, timing.quartiles) == (3.0, (2.0, 4.0))
    assert timing.ratio_to(Timing((1.0, 1.0, 1.0, 1.0, 10.0))) == 2.0
    assert Timing((2.0,)).quartiles == (2.0, 2.0)


def test_peak_memory_is_the_worst_moment() -> None:
    x = torch.ones(MIB // 4)  # 1 MiB

    def two_then_four() -> torch.Tensor:
        a = x + 1
        b = a + 1
        del a
        c = b + 1
        return (b + c) + 1

    assert peak_memory(two_then_four) / MIB == pytest.approx(4, abs=0.1)
    assert peak_memory(lambda: x.add_(1)) < MIB / 10


def test_what_backward_needs_is_seen() -> None:
    x = torch.ones(MIB // 4, requires_grad=True)
    assert peak_memory(lambda: (x * x * x).sum().backward()) > 2 * MIB
    with torch.no_grad():
        assert peak_memory(lambda: (x * x * x).sum()) <= 2.1 * MIB


def test_latency_of_networks(capfd: pytest.CaptureFixture[str]) -> None:
    subject = Subject("matting", lambda factory: MattingResNet34(factory, width=8, depths=(1, 1, 1)), 4)
    factories = {name: upsampler_factory(name) for name in ("bilinear", "carafe")}
    columns = measure_latency(subject, factories, LatencySettings(input_size=32, repeats=2, device="cpu"))
    assert set(columns) == set(factories)
    for row in columns.values():
        assert set(row) == {name for name, (kind, _) in COLUMNS.items() if kind == "measured"}
        assert all(value > 0 for value in row.values())
        assert row["forward_backward_peak_mib"] > row["forward_peak_mib"]
    assert columns["bilinear"]["forward_ratio"] == 1
    assert capfd.readouterr().err == ""
