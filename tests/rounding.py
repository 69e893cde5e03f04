"""How far rounding may move a number: measured on the code under test, not chosen by hand.

Two correct programs differ because they add in another order: every result is rounded anew, and what follows passes
the difference on, enlarged or not. Nudging each input, weight and incoming gradient by one unit in the last place (by
eps times itself, up, down or not at all) does the same thing to a single program. It moves the values by what the
problem's condition makes of an error of eps, and, as no later sum meets the numbers it met before, it draws all their
roundings anew. So the code runs again on nudged values, and an element of a tensor may differ from the authors' by

    FACTOR · the largest move of any element of the tensor in RUNS runs

where no tensor is thought to move less, relative to its largest magnitude, than the median of the tensors of its case.

FACTOR covers chance and the order of sums. Of chance: moves are about normally distributed around zero, and the
larger of two is below 1/64 of a third once in 6000 times; over the elements of a tensor it is steadier than that, and
a single number that stands still by luck has the median to fall back on. Of order: n products of like size, one after
the other, err by about 0.2·n·eps of one, by vectors of 8 three times less, pairwise by next to nothing, while nudges
alone move their sum by 0.8·√n·eps of one: for the longest sums here, of 6000 products, these are 20 apart. Among all
numbers of the vectors, on kernels from plain C to AVX-512 and with one thread or two, the largest difference is a
quarter of its bound. Most bounds are about 1e-13 of the largest magnitude, and mistakes exceed them a thousand times
and more (`test_planted.py` of operators and of networks).
"""

import statistics
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

Values = dict[str, Tensor]
Nudge = Callable[[Tensor], Tensor]
Run = Callable[[Nudge], Values]
"""One run of the code under test on inputs passed through the nudge, by name what it gives."""

RUNS = 2
FACTOR = 64.0
SUM = 16.0
STORED_SINGLE = 2.0**-24
"""Half a unit in the last place: what storing a number in float32 moves it by, relative to itself."""


def exact(x: Tensor) -> Tensor:
    return x.clone()


def nudge(seed: int) -> Nudge:
    generator = torch.Generator().manual_seed(seed)

    def by_one_unit(x: Tensor) -> Tensor:
        signs = torch.randint(-1, 2, x.shape, generator=generator, dtype=torch.int8)
        return x.detach() * (1 + torch.finfo(x.dtype).eps * signs.to(x.dtype))

    return by_one_unit


@contextmanager
def nudged(module: nn.Module, nudge: Nudge) -> Iterator[None]:
    """Parameters and floating buffers nudged, gradients empty; afterwards the module is as it was."""
    before = {name: value.clone() for name, value in module.state_dict().items()}
    with torch.no_grad():
        for value in module.state_dict().values():
            if value.is_floating_point():
                value.copy_(nudge(value))
    module.zero_grad()
    try:
        yield
    finally:
        module.load_state_dict(before)
        module.zero_grad()


def spread(run: Run, values: Values, runs: int = RUNS) -> Values:
    """For each element, its largest move away from `values` over the runs."""
    moved = {name: torch.zeros_like(value) for name, value in values.items()}
    for seed in range(runs):
        again = run(nudge(seed))
        for name, value in values.items():
            moved[name] = torch.maximum(moved[name], (again[name] - value).abs())
    return moved


def relative(value: Tensor, moved: Tensor) -> float:
    scale = value.abs().max()
    return (moved.max() / scale).item() if scale > 0 else 0.0


def typical(values: Values, moved: Values) -> float:
    """The median over the tensors of how far each moves, relative to its largest magnitude."""
    return statistics.median(relative(value, moved[name]) for name, value in values.items())


def bound(value: Tensor, moved: Tensor, usual: float) -> Tensor:
    """What any element of a tensor may differ by."""
    return FACTOR * torch.maximum(moved.max(), usual * value.abs().max())


def quotient(difference: Tensor, allowed: Tensor) -> float:
    """Largest difference relative to what is allowed; NaN where a number is missing on one side."""
    return torch.where(difference == 0, 0.0, difference / allowed).max().item()


def quotients(run: Run, expected: Mapping[str, Tensor], moved: Values | None = None) -> dict[str, float]:
    """Difference over bound of every expected array."""
    values = run(exact)
    moved = spread(run, values) if moved is None else moved
    usual = typical(values, moved)
    result = {}
    for name, theirs in expected.items():
        ours = values[name]
        assert ours.shape == theirs.shape, f"{name}: {[*ours.shape]}, expected {[*theirs.shape]}"
        result[name] = quotient(_beyond_storage(ours, theirs), bound(ours, moved[name], usual))
    return result


def agree(found: Mapping[str, float]) -> None:
    """Every number within its bound."""
    wrong = [f"{name}: {value:.3g} times its bound" for name, value in found.items() if not value <= 1]
    assert not wrong, "differs by more than rounding: " + "; ".join(wrong)


def check(run: Run, expected: Mapping[str, Any]) -> None:
    """Hold what the code gives against the expected arrays, within rounding."""
    agree(quotients(run, expected))


def check_sums(actual: Tensor, expected: Tensor, what: str, units: float = SUM) -> None:
    """Agreement of sums of products, where nothing cancels but by chance, relative to the largest expected magnitude.

    n products of like size, one after the other, err by about 0.2·n·eps of one of them, and the largest of many such
    sums is about 3·√n of one: a share of √n/15·eps, which is 3·eps for the 2000 products of the longest sums here, and
    less in any other order. A softmax and the gradients through it are two or three such steps in a row.
    """
    assert actual.shape == expected.shape, f"{what}: {[*actual.shape]}, expected {[*expected.shape]}"
    eps = torch.finfo(actual.dtype).eps
    difference = _beyond_storage(actual.double(), expected)
    found = quotient(difference, eps * expected.double().abs().max())
    assert found <= units, f"{what}: differs by {found:.3g} eps of the largest magnitude, allowed {units}"


def _beyond_storage(ours: Tensor, theirs: Tensor) -> Tensor:
    """What is left of the difference when theirs was stored in float32 and rounded for that."""
    difference = (ours - theirs.double()).abs()
    if theirs.dtype == torch.float32 and ours.dtype == torch.float64:
        difference = (difference - STORED_SINGLE * theirs.double().abs()).clamp(min=0)
    return difference
