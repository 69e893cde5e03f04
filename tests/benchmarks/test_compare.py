"""Two versions side by side: what is judged, that a wrong one is never timed, and the command on stubs."""

import json
import math
import random
import re
from pathlib import Path
from typing import Any

import pytest

from benchmarks import compare
from benchmarks.checkouts import checkout
from benchmarks.compare import OK, SLOWER, UNDECIDED, WRONG, Row, line, median_interval, verdict

STUB = """
import torch
class Stub(torch.nn.Module):
    def forward(self, de, en):
        out = torch.nn.functional.interpolate(de, scale_factor=2, mode="bilinear")
        return out if out.dtype == torch.float64 else FACTOR * out
def create_upsampler(name, de_channels):
    if name == "carafe":
        raise ValueError("unknown upsampler")
    return Stub()
"""
SOUND = {"error": 0.0, "worst": "output", "tolerance": 1e-4}


class Scripted:
    """A version whose answers are known."""

    def __init__(self, times: Any, check: dict[str, Any] = SOUND) -> None:
        self.times, self.found, self.asked = iter(times), check, []

    def ask(self, what: str, case: str) -> dict[str, Any]:
        self.asked.append(what)
        return self.found if what == "check" else {"seconds": next(self.times)}


def noisy(factor: float, seed: int, spread: float = 0.05) -> Any:
    """Times around `factor`, with slow spells."""
    rng = random.Random(seed)
    while True:
        yield factor * math.exp(rng.gauss(0, spread)) * (3 if rng.random() < 0.05 else 1)


def judged(factor: float, seed: int = 0) -> Row:
    before, after = Scripted(noisy(1.0, seed)), Scripted(noisy(factor, seed + 1000))
    return compare.compare("case", before, after, rounds=21, most=105, limit=0.05)


def test_a_slower_version_is_found_and_an_equal_one_is_not() -> None:
    """Known ratios under noise: 15 % slower is never let pass, equal or faster never blamed, in 40 draws each."""
    assert {judged(1.15, seed).verdict for seed in range(40)} == {SLOWER}
    assert {judged(factor, seed).verdict for factor in (0.9, 1.0) for seed in range(40)} == {OK}


def test_at_the_limit_it_does_not_decide() -> None:
    """Rounds are added to the most; then it says so, and does not pass."""
    rows = [judged(1.05, seed) for seed in range(20)]
    undecided = [row for row in rows if row.verdict == UNDECIDED]
    assert len(undecided) > 10
    assert {len(row.seconds) for row in undecided} == {105}


def test_median_interval() -> None:
    """Its coverage is at least what is asked, by the definition: P(a median lies below the k-th of n values)."""
    for n in range(1, 60):
        low, _, high = median_interval(range(n))
        if math.isinf(low):
            assert 2 * 0.5**n > 0.05
            continue
        k = int(low) + 1
        assert int(high) == n - k
        tails = [2 * sum(math.comb(n, i) for i in range(rank)) / 2**n for rank in (k, k + 1)]
        assert tails[0] <= 0.05 < tails[1] or k == n // 2
    assert median_interval([3.0, 1.0, 2.0])[1] == 2


@pytest.mark.parametrize(
    ("ratios", "expected"),
    [
        ([1.0] * 6, OK),
        ([1.05] * 6, OK),
        ([1.06] * 6, SLOWER),
        ([1.0] * 5, UNDECIDED),
        ([0.5] * 3 + [2.0] * 3, UNDECIDED),
    ],
)
def test_verdict(ratios: list[float], expected: str) -> None:
    assert verdict(ratios, 0.05) == expected


@pytest.mark.parametrize(
    ("found", "reason"),
    [
        (
            {"error": 0.1, "worst": "gradient of de", "tolerance": 1e-4},
            "gradient of de: error 1.0e-01, tolerance 1e-04",
        ),
        ({"error": math.inf, "worst": "output", "tolerance": 1e-4}, "output: error inf, tolerance 1e-04"),
        ({"failed": "KeyError: 'fade'"}, "KeyError: 'fade'"),
    ],
)
@pytest.mark.parametrize("which", ["before", "after"])
def test_what_is_wrong_is_not_timed(found: dict[str, Any], reason: str, which: str) -> None:
    workers = {name: Scripted(iter([]), found if name == which else SOUND) for name in ("before", "after")}
    row = compare.compare("case", workers["before"], workers["after"], rounds=3, most=3, limit=0.05)
    assert (row.verdict, row.seconds, row.reason) == (WRONG, [], f"{which}: {reason}")
    assert {what for worker in workers.values() for what in worker.asked} == {"check"}
    assert line(row) == f"{'case':34} WRONG: {which}: {reason}"


def test_both_are_first_as_often() -> None:
    order: list[str] = []

    class Told(Scripted):
        def __init__(self, name: str) -> None:
            super().__init__(iter([1.0] * 9))
            self.name = name

        def ask(self, what: str, case: str) -> dict[str, Any]:
            order.append(self.name if what == "time" else "")
            return super().ask(what, case)

    compare.compare("case", Told("before"), Told("after"), rounds=8, most=8, limit=0.05)
    assert [order[i] for i in range(2, 18, 2)] == ["after", "before"] * 4


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """This clone against stubs: one that is right is timed, one that is wrong by a hundredth is not, nor what fails."""
    for name, factor in (("right", "1.0"), ("wrong", "1.01")):
        package = tmp_path / name / "src" / "denseup"
        package.mkdir(parents=True)
        (package / "__init__.py").write_text(STUB.replace("FACTOR", factor))
        (package / "ops.py").write_text("from contextlib import nullcontext as use_backend")
    short = ["--rounds", "6", "--most-rounds", "6", "--repeats", "0", "--limit", "1e9"]
    output = tmp_path / "compared.json"
    options = [*short, "--case", "bilinear, with", "--output", str(output)]
    assert compare.main([str(tmp_path / "right"), ".", *options]) == 0
    (row,) = json.loads(output.read_text())["rows"]
    assert (row["case"], row["verdict"], len(row["seconds"])) == ("bilinear, with gradients", OK, 6)
    assert all(seconds > 0 for pair in row["seconds"] for seconds in pair)
    capsys.readouterr()
    assert compare.main([".", str(tmp_path / "wrong"), *short, "--case", "bilinear, with"]) == 1
    assert re.search(r"WRONG: after: (output|gradient of de): error 1\.0e-02", capsys.readouterr().out)
    assert compare.main([".", str(tmp_path / "right"), *short, "--case", "carafe, with"]) == 1
    assert "WRONG: after: ValueError: unknown upsampler" in capsys.readouterr().out


def test_a_version_that_is_none(capsys: pytest.CaptureFixture[str]) -> None:
    assert compare.main(["no-such-commit", ".", "--case", "bilinear, with"]) == 2
    assert "'no-such-commit' is neither a clone of this repository nor a commit of it" in capsys.readouterr().err
    with checkout(".") as (folder, _):
        assert (folder / "src/denseup").is_dir()


@pytest.mark.slow
def test_a_commit_against_itself() -> None:
    """Laid out and built twice; long, for it compiles."""
    short = ["--rounds", "6", "--most-rounds", "6", "--repeats", "0", "--limit", "1e9", "--case", "reassembly, forward"]
    assert compare.main(["HEAD", "HEAD", *short]) == 0
