"""Every registered upsampler, with any options and maps: the answer of its reference in float64, or an error that names
an argument."""

import copy
import inspect
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import pytest
import torch
from hypothesis import event
from hypothesis import strategies as st
from properties import agreement, spoiling
from properties.outcomes import Refused, called
from properties.running import Cases, by_day_and_night, run
from properties.tensors import dtypes, laid, numbers, plain
from torch import Tensor

from denseup.ops import use_backend
from denseup.upsamplers import UPSAMPLERS, Upsampler, create_upsampler, list_upsamplers

NAMES = list_upsamplers()
GROUPS = {
    "kernels": [
        name for name in NAMES if name.startswith(("carafe", "fade", "semishift", "sapa", "dlu", "freqfusion"))
    ],
    "points": [name for name in NAMES if name.startswith(("dysample", "frfu", "lda_aqu"))],
    "images": [name for name in NAMES if name.startswith(("jbu", "naf"))],
}
GROUPS["others"] = [name for name in NAMES if not any(name in group for group in GROUPS.values())]
SMALL = {"embed_channels": 16, "blocks": 1}
"""In place of the defaults: the same code, sooner done."""
WORDS = ("en", "cat", "gate", "lp", "pl", "holistic", "o2o", "m2o", "features", "similarity", "regular", "neutral")
BASIC = ("de_channels", "en_channels", "scale_factor")
MAPS = ("de", "en", "image")
ASKED = (*MAPS, "output_size", "state")


@dataclass
class Case:
    name: str
    options: dict[str, Any]
    given: dict[str, Any] = field(default_factory=dict)
    how: str = ""
    pools: bool = False
    dtype: torch.dtype = torch.float32


def options_of(name: str) -> dict[str, Any]:
    """What a class takes beside channels and factor, with its defaults."""
    factory = UPSAMPLERS.factories[name][0]
    found = {p.name: p.default for p in inspect.signature(factory).parameters.values() if p.name not in BASIC}
    return {key: default for key, default in found.items() if key not in UPSAMPLERS.preset(name)}


def value_for(default: Any) -> st.SearchStrategy[Any]:
    """Of the kind that an option has, most of which fit."""
    odd_ones = st.sampled_from(spoiling.NUMBERS)
    if isinstance(default, bool):
        return st.one_of(st.booleans(), spoiling.words)
    if isinstance(default, str):
        return st.one_of(st.sampled_from(WORDS), spoiling.words)
    return st.one_of(st.sampled_from((1, 2, 3, 4, 5, 8)), odd_ones)


@st.composite
def cases_of(draw: Any, names: list[str]) -> Case:
    name = draw(st.sampled_from(names))
    known = options_of(name)
    options = {key: value for key, value in SMALL.items() if key in known}
    options["de_channels"] = c = draw(st.sampled_from((16, 8, 4, 16, 1, 5)))
    options["en_channels"] = draw(st.sampled_from((None, None, c, 16)))
    options["scale_factor"] = draw(st.sampled_from((2, 2, 2, 1, 3, 4)))
    changed = draw(st.sampled_from(("", "", *known, *BASIC)))
    if changed:
        options[changed] = draw(value_for(known.get(changed, 2)))
    case = Case(name, options, pools=draw(st.booleans()))
    _draw_maps(draw, case, c)
    return case


def _draw_maps(draw: Any, case: Case, c: int) -> None:
    b, low = draw(st.sampled_from((1, 2, 2, 0))), [draw(st.sampled_from((1, 2, 3, 5))) for _ in range(2)]
    factor = case.options["scale_factor"]
    factor = factor if type(factor) is int and 1 <= factor <= 4 else 2
    high = [factor * n + draw(st.sampled_from((0, 0, 0, 1))) for n in low]
    en_channels = 16 if type(case.options["en_channels"]) is int and case.options["en_channels"] == 16 else c
    shapes = {"de": (b, c, *low), "en": (b, en_channels, *high), "image": (b, 3, *high)}
    case.dtype, one_dtype = draw(dtypes), draw(st.sampled_from((True, True, True, False)))
    seed = draw(st.integers(0, 2**16))
    spoiled = draw(st.sampled_from(("", "", "", "", *shapes, "output_size", "state")))
    for k, (name, shape) in enumerate(shapes.items()):
        case.given[name] = draw(laid(numbers(shape, seed + k), case.dtype if one_dtype else None))
        if name == spoiled:
            case.how = draw(st.sampled_from(list(spoiling.SPOILED)))
            case.given[name] = spoiling.SPOILED[case.how](case.given[name])
    case.given["output_size"] = draw(spoiling.sizes) if spoiled == "output_size" else None
    case.given["state"] = draw(spoiling.words) if spoiled == "state" else None
    if spoiled in ("output_size", "state"):
        case.how = f"{spoiled} {case.given[spoiled]!r}"


def built(case: Case) -> Upsampler:
    """In the dtype of the case, with weights that are nowhere zero."""
    torch.manual_seed(0)
    module = called(create_upsampler, {"name": case.name, **case.options}, case.options)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    return module.eval().to(case.dtype)


def results(module: Upsampler, given: Mapping[str, Any], pools: bool) -> list[Tensor]:
    """Output, encoder feature and pooled map."""
    if not pools:
        return [x for x in module(**given, return_en=True) if isinstance(x, Tensor)]
    pooled, state = module.downsample(given["en"])
    return [pooled, *(x for x in module(**{**given, "state": state}, return_en=True) if isinstance(x, Tensor))]


def check(case: Case) -> None:
    try:
        module = built(case)
        pools = case.pools and not case.how
        found = called(lambda **given: results(module, given, pools), case.given, ASKED)
    except Refused:
        event("refused")
        return
    event("answered")
    sizes = [x for x in case.given.values() if isinstance(x, Tensor)]
    assert found[pools].dtype == case.given["de"].dtype
    if any(x.device.type == "meta" for x in sizes):
        return
    _compare(module, case, found, pools)


def _compare(module: Upsampler, case: Case, found: list[Tensor], pools: bool) -> None:
    """Results, and the gradients of those that are computed (not of an encoder feature that is passed on)."""
    if not module.needs_image:
        case.given["image"] = None  # whatever it is, nobody looks at it
    of_leaves = [key for key in MAPS if isinstance(x := case.given[key], Tensor) and x.requires_grad]
    differentiable = [k for k, x in enumerate(found[: pools + 1]) if x.requires_grad]
    exact = copy.deepcopy(module).double()
    given: dict[str, Any] = {key: plain(x) for key, x in case.given.items()}
    given |= {f"weights/{key}": plain(x) for key, x in exact.state_dict().items()}
    given |= {f"cotangent/{k}": plain(numbers(tuple(found[k].shape), k).to(found[k].dtype)) for k in differentiable}

    def gradients(of: list[Tensor], maps: Mapping[str, Any], cotangents: Mapping[str, Any]) -> list[Tensor]:
        if not differentiable or not of_leaves:
            return []
        chosen, leaves = [of[k] for k in differentiable], [maps[key] for key in of_leaves]
        incoming = [cotangents[f"cotangent/{k}"].to(of[k].dtype) for k in differentiable]
        grads = torch.autograd.grad(chosen, leaves, incoming, allow_unused=True)
        return [torch.zeros(x.shape) if g is None else g for g, x in zip(grads, leaves, strict=True)]

    def truth(given: Mapping[str, Any]) -> list[Tensor]:
        weights = {key.removeprefix("weights/"): x for key, x in given.items() if key.startswith("weights/")}
        exact.load_state_dict(weights)
        maps = {key: given[key].detach().requires_grad_() if key in of_leaves else given[key] for key in ASKED}
        with use_backend("reference"):
            values = results(exact, maps, pools)
        return [x.detach() for x in [*values, *gradients(values, maps, given)]]

    eps = agreement.coarsest([case.dtype, *(x.dtype for x in case.given.values() if isinstance(x, Tensor))])
    ours = [*found, *gradients(found, case.given, given)]
    for k, (x, (value, farthest)) in enumerate(
        zip(ours, agreement.bounds(truth, given, eps, range(len(ours))), strict=True)
    ):
        agreement.assert_right(x, value, farthest, f"result {k}")


@pytest.mark.parametrize("group", GROUPS)
@by_day_and_night(50)
def test_any_options_and_maps(group: str, cases: Cases) -> None:
    run(cases, check, cases_of(GROUPS[group]))


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_every_way_to_spoil_every_map(name: str) -> None:
    """For each of its roles; an answer need only come."""
    sizes = {"de": (2, 16, 3, 5), "en": (2, 16, 6, 10), "image": (2, 3, 6, 10)}
    fits = {key: numbers(shape, k).float() for k, (key, shape) in enumerate(sizes.items())}
    options = {key: value for key, value in SMALL.items() if key in options_of(name)}
    module = built(Case(name, {**options, "de_channels": 16, "scale_factor": 2}))
    for case in spoiling.every_way(fits):
        for pools in {False, module.paired}:
            names = [case.name] if spoiling.must_be_named(case.how) else ASKED
            with suppress(Refused):
                called(lambda pools=pools, **given: results(module, given, pools), case.arguments, names)
