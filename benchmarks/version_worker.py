"""The process of one version of denseup: checks and times the cases it is asked for. `benchmarks.compare` starts it.

Reads lines of JSON, {"do": "check" or "time", "case": name}, and answers each with one. It uses public names alone,
which all versions have, and no other module of `benchmarks`: what is on its path is the version's.

    check → {"error": of the worst result, relative to the greatest true value, "worst": which, "tolerance": …}
    time  → {"seconds": of a step}
    a case that fails, or that this version has not → {"failed": why}
"""

import copy
import json
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

UPSAMPLERS = ("bilinear", "carafe", "indexnet", "a2u", "fade", "sapa", "dysample", "max_unpool")
TRAINED = ("bilinear", "carafe", "indexnet", "fade")
CHANNELS, DRAWS = 256, 4
OPERATOR, UPSAMPLER, NETWORK = 1e-5, 1e-4, 1e-3
"""Tolerances in float32: of one operator, of several in a row, of some dozens of layers."""

Results = Mapping[str, Tensor]


@dataclass(frozen=True)
class Prepared:
    """A case made ready.

    Args:
        step: what is timed.
        results: (seed, exact) → what the same computes on small inputs; exact: in float64 by the reference back end.
        tolerance: greatest error that is let pass.
    """

    step: Callable[[], object]
    results: Callable[[int, bool], Results]
    tolerance: float


def cases() -> dict[str, Callable[[], Prepared]]:
    """Name → what prepares it."""
    found: dict[str, Callable[[], Prepared]] = {
        "reassembly, forward": partial(_reassembly, False),
        "reassembly, with gradients": partial(_reassembly, True),
    }
    found |= {f"{name}, with gradients": partial(_upsampler, name) for name in UPSAMPLERS}
    found |= {f"matting step, {name}": partial(_matting, name) for name in TRAINED}
    return found | {f"segmentation step, {name}": partial(_segmentation, name) for name in TRAINED}


def _reassembly(gradients: bool) -> Prepared:
    from denseup import reassemble

    def inputs(side: int, channels: int, dtype: torch.dtype, seed: int = 0) -> tuple[Tensor, Tensor]:
        generator = torch.Generator().manual_seed(seed)
        shapes = (1, channels, side, side), (1, 25, 2 * side, 2 * side)
        de, kernels = (_laid_out(torch.randn(shape, generator=generator).to(dtype)) for shape in shapes)
        return de.requires_grad_(gradients), kernels.requires_grad_(gradients)

    def results(seed: int, exact: bool) -> Results:
        maps = inputs(8, 16, torch.float64 if exact else torch.float32, seed)
        out = reassemble(*maps, 5, backend="reference" if exact else None)
        found = {"output": out.detach()}
        return found | _gradients(out, dict(zip(("de", "kernels"), maps, strict=True))) if gradients else found

    maps = inputs(64, CHANNELS, torch.float32)
    if not gradients:
        return Prepared(lambda: reassemble(*maps, 5), results, OPERATOR)
    return Prepared(lambda: reassemble(*maps, 5).sum().backward(), results, OPERATOR)


def _upsampler(name: str) -> Prepared:
    from denseup import create_upsampler

    torch.manual_seed(0)
    module = create_upsampler(name, de_channels=CHANNELS)
    module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def inputs(side: int, dtype: torch.dtype, seed: int = 0) -> list[Tensor]:
        generator = torch.Generator().manual_seed(seed)
        sides = (side, 2 * side)
        maps = (torch.randn(1, CHANNELS, n, n, generator=generator).to(dtype) for n in sides)
        return [_laid_out(x).requires_grad_() for x in maps]

    def results(seed: int, exact: bool) -> Results:
        own = copy.deepcopy(module).double() if exact else module
        maps = inputs(8, torch.float64 if exact else torch.float32, seed)
        out = own(*maps)
        wanted = {"de": maps[0], "en": maps[1], **dict(own.named_parameters())}
        return {"output": out.detach()} | _gradients(out, wanted)

    de, en = inputs(64, torch.float32)
    return Prepared(lambda: module(de, en).sum().backward(), results, UPSAMPLER)


def _training(network: nn.Module, shape: tuple[int, ...]) -> Prepared:
    """A step of Adam; what is checked is the prediction that the network starts with."""
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    start = copy.deepcopy(network).eval()
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-4)
    x = _laid_out(torch.randn(shape))

    def step() -> None:
        optimizer.zero_grad()
        network(x).square().mean().backward()
        optimizer.step()

    def results(seed: int, exact: bool) -> Results:
        small = torch.randn(1, shape[1], 64, 64, generator=torch.Generator().manual_seed(seed))
        with torch.no_grad():
            return {"output": copy.deepcopy(start).double()(small.double()) if exact else start(_laid_out(small))}

    return Prepared(step, results, NETWORK)


def _matting(name: str) -> Prepared:
    from denseup.networks import MattingResNet34

    torch.manual_seed(0)
    return _training(MattingResNet34(name, dropout=0.0), (2, 4, 160, 160))


def _segmentation(name: str) -> Prepared:
    from denseup.networks import SegFormer

    torch.manual_seed(0)
    return _training(SegFormer("b1", 150, name, dropout=0.0, drop_path=0.0), (2, 3, 160, 160))


def _laid_out(x: Tensor) -> Tensor:
    return x.contiguous(memory_format=torch.channels_last)


def _gradients(out: Tensor, wanted: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Of a weighted sum of the output."""
    weights = torch.randn(out.shape, generator=torch.Generator().manual_seed(1)).to(out)
    found = torch.autograd.grad(out, list(wanted.values()), weights, allow_unused=True, materialize_grads=True)
    return {f"gradient of {name}": value for name, value in zip(wanted, found, strict=True)}


def check(case: Prepared) -> dict[str, Any]:
    """The error on the best of a few draws: upsamplers have kinks, where float32 may fall on the other side."""
    from denseup.ops import use_backend

    found = []
    for seed in range(DRAWS):
        with use_backend("reference"):
            truth = case.results(seed, True)
        found.append(_worst(case.results(seed, False), truth))
        if found[-1][0] <= case.tolerance:
            break
    error, worst = min(found)
    return {"error": error, "worst": worst, "tolerance": case.tolerance}


def _worst(results: Results, truth: Results) -> tuple[float, str]:
    """Greatest difference relative to the greatest true value of its tensor; not a number counts as infinite."""
    errors = []
    for name, exact in truth.items():
        scale = max(exact.abs().max().item(), torch.finfo(torch.float32).tiny)
        error = (results[name].double() - exact).abs().max().item() / scale
        errors.append((error if error == error else float("inf"), name))
    return max(errors)


def timed(step: Callable[[], object], seconds: float) -> float:
    """Seconds of a step, repeated for so long."""
    start, calls = time.perf_counter(), 0
    while not calls or time.perf_counter() - start < seconds:
        step()
        calls += 1
    return (time.perf_counter() - start) / calls


def serve(seconds: float) -> None:
    """Answer line by line; a case is kept until another one comes."""
    known = cases()
    current, case = "", None
    for line in sys.stdin:
        request = json.loads(line)
        try:
            if request["case"] != current or case is None:
                current, case = request["case"], None
                case = known[current]()
                for _ in range(3):
                    case.step()
            answer = check(case) if request["do"] == "check" else {"seconds": timed(case.step, seconds)}
        except Exception as error:  # the other cases go on
            answer = {"failed": f"{type(error).__name__}: {error}".splitlines()[0]}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    serve(float(sys.argv[1]))
