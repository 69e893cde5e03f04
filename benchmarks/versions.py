"""Two versions of denseup side by side: `python -m benchmarks.versions OTHER_CLONE`, this clone over the other.

Each version has a process of its own, which stays; every round asks both for a case, in turns, so that a slow spell of
the machine hits both. What is printed is the ratio within a round: median, and quartiles over the rounds. The worker
uses public names alone, which both versions have. Freed memory stays with the processes (glibc): where it is given back
page by page, times follow the order of allocations more than the code.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve()
UPSAMPLERS = ("bilinear", "carafe", "indexnet", "a2u", "fade", "sapa", "dysample", "max_unpool")
TRAINED = ("bilinear", "carafe", "indexnet", "fade")
HEAP = {"MALLOC_TRIM_THRESHOLD_": str(2**33), "MALLOC_MMAP_THRESHOLD_": str(2**33)}

Step = Callable[[], object]


def cases() -> dict[str, Callable[[], Step]]:
    """Name → what prepares a step and gives it."""
    import torch

    def operator(name: str) -> Step:
        from denseup import create_upsampler

        torch.manual_seed(0)
        module = create_upsampler(name, de_channels=256)
        module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        de, en = (torch.randn(1, 256, side, side).contiguous(memory_format=torch.channels_last) for side in (64, 128))
        de.requires_grad_(), en.requires_grad_()
        return lambda: module(de, en).sum().backward()

    def reassembly(gradients: bool) -> Step:
        from denseup import reassemble

        de = torch.randn(1, 256, 64, 64).contiguous(memory_format=torch.channels_last).requires_grad_(gradients)
        kernels = torch.randn(1, 25, 128, 128).contiguous(memory_format=torch.channels_last).requires_grad_(gradients)
        if not gradients:
            return lambda: reassemble(de, kernels, 5)
        return lambda: reassemble(de, kernels, 5).sum().backward()

    def training(build: Callable[[], Any], shape: tuple[int, ...]) -> Step:
        torch.manual_seed(0)
        network = build().to(memory_format=torch.channels_last)
        optimizer = torch.optim.Adam(network.parameters(), lr=1e-4)
        x = torch.randn(shape).contiguous(memory_format=torch.channels_last)

        def step() -> None:
            optimizer.zero_grad()
            network(x).square().mean().backward()
            optimizer.step()

        return step

    def matting(name: str) -> Step:
        from denseup.networks import MattingResNet34

        return training(lambda: MattingResNet34(name, dropout=0.0), (2, 4, 160, 160))

    def segmentation(name: str) -> Step:
        from denseup.networks import SegFormer

        return training(lambda: SegFormer("b1", 150, name, dropout=0.0, drop_path=0.0), (2, 3, 160, 160))

    found: dict[str, Callable[[], Step]] = {
        "reassembly, forward": partial(reassembly, False),
        "reassembly, with gradients": partial(reassembly, True),
    }
    found |= {f"{name}, with gradients": partial(operator, name) for name in UPSAMPLERS}
    found |= {f"matting step, {name}": partial(matting, name) for name in TRAINED}
    return found | {f"segmentation step, {name}": partial(segmentation, name) for name in TRAINED}


def serve(seconds: float) -> None:
    """The worker: for each case that is asked for, the time of a step; the step is kept until another case comes."""
    known, current, step = cases(), "", None
    for line in sys.stdin:
        name = line.rstrip("\n")
        if name != current:
            step, current = None, name
            step = known[name]()
            for _ in range(3):
                step()
        assert step is not None
        start, calls = time.perf_counter(), 0
        while not calls or time.perf_counter() - start < seconds:
            step()
            calls += 1
        print((time.perf_counter() - start) / calls, flush=True)


class Worker:
    """The process of one version."""

    def __init__(self, clone: Path, seconds: float) -> None:
        environment = os.environ | HEAP | {"PYTHONPATH": str(clone / "src")}
        command = [sys.executable, str(HERE), "--serve", str(seconds), str(clone)]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment, cwd=clone
        )

    def time(self, case: str) -> float:
        """Seconds of a step."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(case + "\n")
        self.process.stdin.flush()
        return float(self.process.stdout.readline())


def compare(case: str, ours: Worker, theirs: Worker, rounds: int) -> dict[str, Any]:
    """Rounds of a case, each version first in every other one."""
    times: list[tuple[float, float]] = []
    for index in range(rounds):
        if index % 2:
            other = theirs.time(case)
            times.append((ours.time(case), other))
        else:
            own = ours.time(case)
            times.append((own, theirs.time(case)))
    ratios = [own / other for own, other in times]
    low, middle, high = statistics.quantiles(ratios, n=4)
    own, other = (min(column) for column in zip(*times, strict=True))
    return {
        "case": case,
        "ratio": middle,
        "quartiles": [low, high],
        "ratio_of_minima": own / other,
        "seconds": [list(pair) for pair in times],
    }


def about(other: Path) -> dict[str, Any]:
    """What the figures were measured with."""
    import torch

    from denseup.environment import hardware, versions

    describe = ["git", "describe", "--always", "--dirty", "--abbrev=12"]
    commits = [
        subprocess.run(describe, cwd=clone, capture_output=True, text=True, check=False).stdout.strip()
        for clone in (HERE.parents[1], other)
    ]
    return {"commits": commits, "hardware": hardware(torch.device("cpu")), "versions": versions()}


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.versions", description=__doc__)
    parser.add_argument("other", type=Path, metavar="OTHER_CLONE", help="with its C kernels built in place")
    parser.add_argument("--rounds", type=int, default=21)
    parser.add_argument("--repeats", type=float, default=0.3, metavar="SECONDS", help="how long a round repeats a step")
    parser.add_argument("--case", default="", help="only cases whose name contains it")
    parser.add_argument("--output", type=Path, help="JSON file")
    parser.add_argument("--serve", type=float, help=argparse.SUPPRESS)
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> None:
    """Entry point."""
    options = parse(argv)
    if options.serve is not None:
        serve(options.serve)
        return
    ours, theirs = Worker(HERE.parents[1], options.repeats), Worker(options.other.resolve(), options.repeats)
    rows = []
    print(f"{'case':34} ratio  quartiles      of minima")
    for case in (name for name in cases() if options.case in name):
        rows.append(compare(case, ours, theirs, options.rounds))
        low, high = rows[-1]["quartiles"]
        print(
            f"{case:34} {rows[-1]['ratio']:.3f}  {low:.3f} … {high:.3f}  {rows[-1]['ratio_of_minima']:.3f}", flush=True
        )
    if options.output:
        options.output.write_text(json.dumps({**about(options.other), "rounds": options.rounds, "rows": rows}) + "\n")


if __name__ == "__main__":
    main()
