"""Whether a result is right: as near to float64 as its arithmetic allows.

The truth is computed in float64, and again on inputs moved by at most a unit in the last place of the arithmetic of the
call; an element may be off by FACTOR times the farthest that one of its tensor moved. That is `tests/rounding.py`, but
moves are of any size up to a unit: few numbers moved by whole units may not move their sum at all.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

RUNS = 4
FACTOR = 64.0
SURE = 0.25
"""Of the largest number of a dtype: from there on sums overflow or not, as they are ordered."""

Truth = Callable[[Mapping[str, Any]], Sequence[Tensor]]


def moved(x: Any, eps: float, generator: torch.Generator) -> Any:
    if not isinstance(x, Tensor) or not (x.is_floating_point() or x.is_complex()):
        return x
    return x * (1 + eps * (2 * torch.rand(x.shape, generator=generator, dtype=torch.float64) - 1))


def coarsest(dtypes: Sequence[torch.dtype]) -> float:
    return max((torch.finfo(d).eps for d in dtypes if d.is_floating_point), default=0.0)


def bounds(
    truth: Truth, arguments: Mapping[str, Any], eps: float, cancelling: Collection[int] = ()
) -> list[tuple[Tensor, float]]:
    """What `truth` gives, each with the farthest that an element of it moves.

    On the way to those at the places of `cancelling`, steps may cancel whatever comes in (the norm of a single pixel
    does not depend on it: its gradient is 0), and leave what they round: no element of them moves less than a unit of
    the largest of all.
    """
    exact = truth(arguments)
    farthest = [0.0] * len(exact)
    for seed in range(RUNS):
        generator = torch.Generator().manual_seed(seed)
        again = truth({name: moved(x, eps, generator) for name, x in arguments.items()})
        for k, (x, y) in enumerate(zip(exact, again, strict=True)):
            difference = (x - y).abs().nan_to_num(0, 0, 0)
            farthest[k] = max([farthest[k], *difference.flatten().max().reshape(-1).tolist()] if x.numel() else [0.0])
    if cancelling:
        largest = max((x.abs().nan_to_num(0, 0, 0).max().item() for x in exact if x.numel()), default=0.0)
        farthest = [max(x, eps * largest) if k in cancelling else x for k, x in enumerate(farthest)]
    return list(zip(exact, farthest, strict=True))


def assert_right(found: Tensor, truth: Tensor, farthest: float, what: str, kinds: bool = True) -> None:
    assert found.shape == truth.shape, f"{what}: {list(found.shape)}, expected {list(truth.shape)}"
    if not found.numel():
        return
    exact = not found.is_floating_point() and not found.is_complex()
    limits = torch.finfo(torch.float64 if exact else found.dtype)
    ours = found.detach().to(truth.dtype)
    sure = (truth.abs() < SURE * limits.max) | ~truth.isfinite()
    for kind in (torch.isnan, torch.isinf) if kinds else (torch.isfinite,):
        wrong = (kind(ours) != kind(truth)) & sure
        assert not wrong.any(), f"{what}: {kind.__name__} differs at {wrong.nonzero()[0].tolist()}"
    number = ours.isfinite() & truth.isfinite() & sure
    allowed = FACTOR * farthest + 2 * limits.eps * truth.abs() + 64 * limits.smallest_normal * limits.eps
    off = ((ours - truth).abs() - allowed).masked_fill(~number, 0)
    at = int(off.flatten().argmax())
    came, true = ours.flatten()[at].item(), truth.flatten()[at].item()
    assert off.max() <= 0, f"{what}: {came}, expected {true} within {allowed.flatten()[at].item():.3g}"
