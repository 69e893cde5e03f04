"""What the numbers have to reach, read off the rows of a run."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from benchmarks.cases import Row
from benchmarks.differentiable import BOTH, FORWARD

Value = Callable[[Sequence[Row]], float | None]

AUTOMATIC, AUTOMATIC_NCHW = "denseup/*", "denseup/* NCHW"
"""The rows of what denseup chooses by itself, in either layout."""
STEP, METRIC = "training step", "metric"
"""Kinds of call, beside those of operators."""


@dataclass(frozen=True)
class Target:
    """A limit on a ratio.

    Args:
        name: what is compared, in words.
        device: "cpu" or "cuda": where it holds.
        value: rows of a run → the ratio reached; None where the rows for it are not there.
        limit: of the ratio.
        at_most: the ratio must not exceed the limit; else it must reach it.
    """

    name: str
    device: str
    value: Value
    limit: float
    at_most: bool = True

    def judge(self, rows: Sequence[Row]) -> dict[str, Any]:
        """Name, limit, value reached (None: not measured) and whether the target is met (None: not measured)."""
        reached = self.value(rows)
        met = None if reached is None else (reached <= self.limit if self.at_most else reached >= self.limit)
        limit = f"{'≤' if self.at_most else '≥'} {self.limit:g}"
        return {"target": self.name, "limit": limit, "reached": reached, "met": met}


def find(rows: Sequence[Row], case: str, kind: str, entrant: str) -> Row | None:
    """The timed row of the case whose name starts so; the one chosen automatically for `AUTOMATIC`."""
    for row in rows:
        automatic = entrant not in (AUTOMATIC, AUTOMATIC_NCHW) or (
            row.automatic and row.entrant.endswith(" NCHW") == (entrant == AUTOMATIC_NCHW)
        )
        fits = row.case.startswith(case) and row.kind == kind and fnmatchcase(row.entrant, entrant)
        if fits and automatic and row.timing is not None:
            return row
    return None


def time_ratio(case: str, kind: str, of: str, to: str) -> Value:
    """Median over the rounds of the ratio of two times."""

    def value(rows: Sequence[Row]) -> float | None:
        above, below = (find(rows, case, kind, entrant) for entrant in (of, to))
        if above is None or below is None or above.timing is None or below.timing is None:
            return None
        return above.timing.ratio_to(below.timing)

    return value


def memory_ratio(case: str, kind: str, of: str, to: str) -> Value:
    """Ratio of two peaks."""

    def value(rows: Sequence[Row]) -> float | None:
        above, below = (find(rows, case, kind, entrant) for entrant in (of, to))
        if above is None or below is None or above.peak_bytes is None or not below.peak_bytes:
            return None
        return above.peak_bytes / below.peak_bytes

    return value


def floor_ratio(case: str, kind: str, of: str) -> Value:
    """Ratio of a time to the memory-traffic floor."""

    def value(rows: Sequence[Row]) -> float | None:
        row = find(rows, case, kind, of)
        return None if row is None else row.floor_ratio

    return value


_BILINEAR = "bilinear channels_last"
_SMALL, _LARGE = (f"reassembly 1×256×{n}×{n} → ×2, K=5, float32" for n in (64, 120))
_FADE = "FADE 1×256×64×64 → ×2, K=5, float32"
_BATCH = "16×256×64×64 → ×2, K=5,"


def _cpu_reassembly(case: str, kind: str, limit: float) -> Target:
    return Target(f"{case}: {kind}, of {_BILINEAR}", "cpu", time_ratio(case, kind, AUTOMATIC, _BILINEAR), limit)


def _cpu_fade(kind: str, form: str) -> list[Target]:
    faster = time_ratio(_FADE, kind, form, AUTOMATIC)
    smaller = memory_ratio(_FADE, kind, AUTOMATIC, form)
    return [
        Target(f"{_FADE}: {kind}, time of {form}, of ours", "cpu", faster, 100, at_most=False),
        Target(f"{_FADE}: {kind}, our peak memory, of {form}'s", "cpu", smaller, 0.1),
    ]


def _gpu_reassembly(layout: str, entrant: str, kind: str) -> list[Target]:
    mmcv = entrant.replace("*", "mmcv")
    floor = floor_ratio(f"reassembly {_BATCH} bfloat16", kind, entrant)
    faster = time_ratio(f"reassembly {_BATCH} float16", kind, mmcv, entrant)
    return [
        Target(f"reassembly {_BATCH} bfloat16, {layout}: {kind}, of the memory-traffic floor", "cuda", floor, 2.0),
        Target(f"reassembly {_BATCH} float16, {layout}: {kind}, mmcv of ours", "cuda", faster, 3.0, at_most=False),
    ]


def _gpu_fade(form: str) -> Target:
    case = f"FADE {_BATCH} bfloat16"
    smaller = memory_ratio(case, BOTH, AUTOMATIC, form)
    return Target(f"{case}: {BOTH}, our peak memory, of the {form} form's", "cuda", smaller, 0.5)


def _cpu_step(case: str) -> Target:
    return Target(f"{case}: step with FADE, of bilinear's", "cpu", time_ratio(case, STEP, "fade", "bilinear"), 1.35)


def _gpu_step(form: str) -> Target:
    case = "matting published"
    smaller = memory_ratio(case, STEP, "fade", f"fade, {form}")
    return Target(f"{case}: peak memory of a step with FADE, of the {form} form's", "cuda", smaller, 0.5)


def _metric(case: str, limit: float) -> Target:
    return Target(f"{case}: naive of ours", "cpu", time_ratio(case, METRIC, "naive", "denseup"), limit, at_most=False)


_ATTENTION = "attention 1×384×32×32 → 448×448, D=256, K=9, N=4, float32"


def _cpu_attention(layout: str, entrant: str) -> list[Target]:
    faster = time_ratio(_ATTENTION, FORWARD, "windows", entrant)
    smaller = memory_ratio(_ATTENTION, FORWARD, entrant, "windows")
    return [
        Target(f"{_ATTENTION}, {layout}: {FORWARD}, time of windows, of ours", "cpu", faster, 20, at_most=False),
        Target(f"{_ATTENTION}, {layout}: {FORWARD}, our peak memory, of that of windows", "cpu", smaller, 0.1),
    ]


TARGETS: dict[str, list[Target]] = {
    "operators": [
        _cpu_reassembly(_SMALL, FORWARD, 1.5),
        _cpu_reassembly(_SMALL, BOTH, 2.0),
        _cpu_reassembly(_LARGE, FORWARD, 1.0),
        *(
            target
            for form in ("unfold", "unfold, einsum")
            for kind in (FORWARD, BOTH)
            for target in _cpu_fade(kind, form)
        ),
        *(
            target
            for layout, entrant in (("channels_last", AUTOMATIC), ("NCHW", AUTOMATIC_NCHW))
            for kind in (FORWARD, BOTH)
            for target in _gpu_reassembly(layout, entrant, kind)
        ),
        *map(_gpu_fade, ("unfold", "unfused")),
    ],
    "attention": [*_cpu_attention("channels_last", AUTOMATIC), *_cpu_attention("NCHW", AUTOMATIC_NCHW)],
    "training": [*map(_cpu_step, ("matting published", "matting small")), *map(_gpu_step, ("unfold", "unfused"))],
    "metrics": [_metric("conn 1080×1920", 10), _metric("boundary IoU 512×683, 150 classes", 50)],
    "data": [],
    "startup": [],
    "upsamplers": [],
}
"""Benchmark → its targets. What has no number in this table has no target."""
