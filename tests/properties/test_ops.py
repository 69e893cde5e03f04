"""Every public function of `denseup.ops`, with any maps and numbers: the right answer, or an error that names one."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import pytest
import torch
from hypothesis import event
from hypothesis import strategies as st
from properties import agreement, spoiling
from properties.operators import FUNCTIONS, NO_MAPS, Function
from properties.outcomes import Refused, called
from properties.running import Cases, by_day_and_night, run
from properties.tensors import VALUES, dtypes, laid, numbers, plain
from torch import Tensor

from denseup import native, ops

SETS = ["portable", "avx2", "avx512"]
THREADS = (1, 3)


@dataclass
class Case:
    arguments: dict[str, Any]
    spoiled: str | None = None
    how: str = ""
    instructions: str = ""
    threads: int = 1


@st.composite
def cases_of(draw: Any, function: Function, may_spoil: bool = True) -> Case:
    arguments = function.draw(draw)
    names = [name for name, x in arguments.items() if isinstance(x, Tensor)]
    one_dtype = draw(st.sampled_from((True, True, False)))
    dtype, kind, which = draw(dtypes), draw(st.sampled_from(VALUES)), draw(st.sampled_from(names))
    if (kind in ("huge", "tiny") and not one_dtype) or (kind == "tiny" and which == "positions"):
        kind = "ordinary"  # another dtype may not hold them; and a map begins at position 0
    for name in names:
        of_values = kind if name == which else "ordinary"
        arguments[name] = draw(laid(arguments[name], dtype if one_dtype else None, of_values))
    case = Case(arguments, instructions=draw(st.sampled_from(SETS)), threads=draw(st.sampled_from(THREADS)))
    if may_spoil and draw(st.booleans()):
        _spoil(draw, case, draw(st.sampled_from([*names, *names, *function.others])), function)
    return case


def _spoil(draw: Any, case: Case, name: str, function: Function) -> None:
    case.spoiled = name
    if name in function.others:
        case.arguments[name] = draw(function.others[name])
        case.how = repr(case.arguments[name])
    else:
        case.how = draw(st.sampled_from(list(spoiling.SPOILED)))
        case.arguments[name] = spoiling.SPOILED[case.how](case.arguments[name])


@contextmanager
def machine(case: Case) -> Iterator[None]:
    """The instructions and threads of a case, where there are C kernels and a processor that has them."""
    library, threads = native.library(), native.threads
    if library is not None:
        library.denseup_force_instructions(case.instructions.encode())
    native.threads = lambda: case.threads
    try:
        yield
    finally:
        native.threads = threads
        if library is not None:
            library.denseup_force_instructions(b"")


def check(function: Function, case: Case) -> None:
    names = list(case.arguments)
    if spoiling.must_be_named(case.how) and case.spoiled:
        names = [case.spoiled]
        if case.spoiled in function.others and _may_be_refused(case):  # None, which fits some of them
            names.append("backend")
    kept = dict(case.arguments)
    try:
        with machine(case):
            out = called(function.call, case.arguments, names)
    except Refused:
        assert case.spoiled or _may_be_refused(case), "refused what fits"
        event("refused")
        return
    event("answered")
    assert isinstance(out, Tensor)
    like = kept[function.like]
    assert out.dtype == like.dtype, f"{out.dtype}, expected {like.dtype}"
    if any(isinstance(x, Tensor) and x.device.type == "meta" for x in kept.values()):
        assert out.device.type == "meta"
        return
    _compare(function, case, kept, out)


def _may_be_refused(case: Case) -> bool:
    """A back end may be asked for that has not what the call needs."""
    return case.arguments.get("backend") == "cpu"


def _compare(function: Function, case: Case, kept: dict[str, Any], out: Tensor) -> None:
    leaves = [x for x in kept.values() if isinstance(x, Tensor) and x.requires_grad] if out.requires_grad else []
    cotangent = numbers(tuple(out.shape), 1)
    with machine(case):
        grads = torch.autograd.grad(out, leaves, cotangent.to(out.dtype), allow_unused=True) if leaves else []
    of_leaves = [name for name, x in kept.items() if any(x is leaf for leaf in leaves)]
    like = kept[function.like].dtype

    def truth(given: dict[str, Any]) -> list[Tensor]:
        given = {**given}
        grad = given.pop("cotangent")
        for name in of_leaves:
            given[name] = given[name].detach().requires_grad_()
        exact = function.truth(given)
        wanted = torch.autograd.grad(exact, [given[name] for name in of_leaves], grad) if of_leaves else []
        return [exact.detach(), *wanted]

    cast = () if kept.get("normalize") == "softmax" else function.cast
    maps = {name: x for name, x in kept.items() if name not in function.others}  # of which one may be two numbers
    exact = kept | {name: plain(x.to(like) if name in cast else x) for name, x in maps.items()}
    exact["cotangent"] = plain(cotangent.to(out.dtype))
    floats = [
        torch.float32 if not like.is_floating_point else like,
        *(x.dtype for x in kept.values() if isinstance(x, Tensor)),
    ]
    arithmetic = torch.float64 if like is torch.float64 else torch.float32
    if function.largest(exact) > agreement.SURE * torch.finfo(arithmetic).max:
        event("overflows on the way")
        return
    eps = agreement.coarsest([*floats, *([torch.float32] if like != torch.float64 else [])])
    found = [out, *grads]
    whats = ["result", *of_leaves]
    cancelling = [place for place, what in enumerate(whats) if what in function.cancelling]
    bounds = agreement.bounds(truth, exact, eps, cancelling)
    for what, ours, (value, farthest) in zip(whats, found, bounds, strict=True):
        agreement.assert_right(torch.zeros_like(value) if ours is None else ours, value, farthest, what, function.kinds)


@pytest.mark.parametrize("name", FUNCTIONS)
@by_day_and_night(40)
def test_any_arguments(name: str, cases: Cases) -> None:
    function = FUNCTIONS[name]
    run(cases, lambda case: check(function, case), cases_of(function))


@pytest.mark.parametrize("name", FUNCTIONS)
@by_day_and_night(3, ways=100)
def test_every_way_to_spoil_every_map(name: str, cases: Cases) -> None:
    """Which the draws above may miss: by day they are few."""
    function = FUNCTIONS[name]

    def check_all(fits: Case) -> None:
        for case in spoiling.every_way(fits.arguments):
            check(function, replace(fits, arguments=case.arguments, spoiled=case.name, how=case.how))

    run(cases, check_all, cases_of(function, may_spoil=False))


def test_every_public_function_is_described() -> None:
    assert set(ops.__all__) == {*FUNCTIONS, *NO_MAPS}
