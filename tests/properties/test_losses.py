"""The losses, with any maps: the definition in float64, or an error that names an argument."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from hypothesis import strategies as st
from properties import agreement, spoiling
from properties.operators import lengths, maps
from properties.outcomes import Refused, called
from properties.running import Cases, by_day_and_night, run
from properties.tensors import dtypes, laid, numbers, plain
from torch import Tensor
from torch.nn import functional as F

from denseup import losses

EPSILON = {"epsilon": torch.tensor(1e-6, dtype=torch.float64)}
"""Rounded like what comes in: among the arguments, so that it is moved with them."""


def smooth(difference: Tensor, given: Mapping[str, Any]) -> Tensor:
    """Σ √(d² + ε²) / (|U| + 1), image by image."""
    each = [
        (((d * u) ** 2 + given["epsilon"] ** 2) ** 0.5).sum() / (u.sum() + 1)
        for d, u in zip(difference, given["unknown"], strict=True)
    ]
    return torch.stack(each).mean() if each else torch.tensor(torch.nan, dtype=torch.float64)


def alpha(given: Mapping[str, Any]) -> Tensor:
    return smooth(given["alpha"] - given["target"], given)


def composition(given: Mapping[str, Any]) -> Tensor:
    made = given["alpha"] * given["foreground"] + (1 - given["alpha"]) * given["background"]
    return smooth(made - given["image"], given)


def matting(given: Mapping[str, Any]) -> Tensor:
    weight = float(given["composition_weight"])
    return (1 - weight) * alpha(given) + weight * composition(given)


def segmentation(given: Mapping[str, Any]) -> Tensor:
    label, wide = given["label"], given["logits"]
    if wide.shape[2:] != label.shape[1:]:
        wide = F.interpolate(wide, tuple(label.shape[1:]), mode="bilinear")
    known = label != given["ignore_index"]
    chosen = wide.log_softmax(1).gather(1, label.where(known, 0)[:, None])[:, 0]
    total = -(chosen.where(known, 0)).sum()
    return total / (label.numel() if given["average"] == "all" else max(int(known.sum()), 1))


COLOURS = ("foreground", "background", "image")


def matting_by_maps(**given: Any) -> Tensor:
    """`matting_loss`, whose colours are maps of their own."""
    colours = tuple(given.pop(name) for name in COLOURS)
    return losses.matting_loss(**given, colours=colours)


LOSSES: dict[str, tuple[Callable[..., Tensor], Callable[[Mapping[str, Any]], Tensor]]] = {
    "alpha_loss": (losses.alpha_loss, alpha),
    "composition_loss": (losses.composition_loss, composition),
    "matting_loss": (matting_by_maps, matting),
    "segmentation_loss": (losses.segmentation_loss, segmentation),
}


@dataclass
class Case:
    arguments: dict[str, Any]
    spoiled: str = ""
    how: str = ""


@st.composite
def cases_of(draw: Any, name: str, may_spoil: bool = True) -> Case:
    b, at = draw(st.sampled_from((1, 2, 3, 0))), (draw(lengths), draw(lengths))
    one, three = (b, 1, *at), (b, 3, *at)
    shapes = {"alpha": one, "target": one, "unknown": one, **dict.fromkeys(COLOURS, three)}
    if name == "alpha_loss":
        shapes = {key: shape for key, shape in shapes.items() if key not in COLOURS}
    if name == "composition_loss":
        del shapes["target"]
    if name == "segmentation_loss":
        shapes = {"logits": (b, draw(st.sampled_from((1, 3, 7))), draw(lengths), draw(lengths)), "label": (b, *at)}
    found, dtype, others = maps(draw, **shapes), draw(dtypes), {}
    for key, x in found.items():
        if key == "label":
            found[key] = (x.abs() * 100).long() % shapes["logits"][1]
            found[key][x > 1] = 255
        elif key == "unknown":
            found[key] = (x > 0).to(draw(st.sampled_from((dtype, torch.float32, torch.bool, torch.uint8))))
        else:
            found[key] = draw(laid(x, dtype))
    if name == "segmentation_loss":
        others = {"ignore_index": spoiling.numbers, "average": spoiling.words}
        found |= {"ignore_index": 255, "average": draw(st.sampled_from(("all", "valid")))}
    if name == "matting_loss":
        others, found["composition_weight"] = {"composition_weight": spoiling.numbers}, 0.5
    case = Case(found)
    if may_spoil and draw(st.booleans()):
        case.spoiled = draw(st.sampled_from([*shapes, *shapes, *others]))
        if case.spoiled in others:
            found[case.spoiled] = draw(others[case.spoiled])
        else:
            case.how = draw(st.sampled_from(list(spoiling.SPOILED)))
            found[case.spoiled] = spoiling.SPOILED[case.how](found[case.spoiled])
    return case


def check(name: str, case: Case) -> None:
    function, truth = LOSSES[name]
    names = [case.spoiled] if spoiling.must_be_named(case.how) else [*case.arguments]
    try:
        out = called(function, case.arguments, names)
    except Refused:
        assert case.spoiled, "refused what fits"
        return
    assert out.shape == ()
    if out.device.type == "meta":
        return
    leaves = [key for key, x in case.arguments.items() if isinstance(x, Tensor) and x.requires_grad]
    grads = torch.autograd.grad(out, [case.arguments[key] for key in leaves], allow_unused=True) if leaves else []
    given = EPSILON | {key: plain(x) for key, x in case.arguments.items()}
    if "label" in given:
        given["label"] = given["label"].long()

    def both(given: Mapping[str, Any]) -> list[Tensor]:
        given = {key: x.detach().requires_grad_() if key in leaves else x for key, x in given.items()}
        value = truth(given)
        wanted = [given[key] for key in leaves]
        of = torch.autograd.grad(value, wanted, allow_unused=True) if leaves and value.requires_grad else wanted
        return [
            value.detach(),
            *(torch.zeros_like(x) if g is None or g is x else g for g, x in zip(of, wanted, strict=True)),
        ]

    floats = [x.dtype for x in case.arguments.values() if isinstance(x, Tensor)]
    coarsest = agreement.coarsest([torch.float32, *floats] if out.dtype != torch.float64 else floats)
    for ours, (value, farthest) in zip([out, *grads], agreement.bounds(both, given, coarsest), strict=True):
        agreement.assert_right(torch.zeros_like(value) if ours is None else ours, value, farthest, name)


@pytest.mark.parametrize("name", LOSSES)
@by_day_and_night(40)
def test_any_arguments(name: str, cases: Cases) -> None:
    run(cases, lambda case: check(name, case), cases_of(name))


@pytest.mark.parametrize("name", LOSSES)
@by_day_and_night(3, ways=100)
def test_every_way_to_spoil_every_map(name: str, cases: Cases) -> None:
    def check_all(fits: Case) -> None:
        for case in spoiling.every_way(fits.arguments):
            check(name, Case(case.arguments, case.name, case.how))

    run(cases, check_all, cases_of(name, may_spoil=False))


@pytest.mark.parametrize("wrong", spoiling.NUMBERS, ids=lambda wrong: type(wrong).__name__)
def test_every_number_to_ignore(wrong: Any) -> None:
    label = torch.zeros(1, 2, 2, dtype=torch.int64)
    check(
        "segmentation_loss",
        Case(
            {"logits": torch.randn(1, 3, 2, 2), "label": label, "ignore_index": wrong, "average": "all"}, "ignore_index"
        ),
    )


@pytest.mark.parametrize("colours", [3, "abc", (), (numbers((1, 3, 2, 2), 0),) * 2, {}, numbers((1, 3, 2, 2), 0)])
def test_colours_that_are_not_three(colours: Any) -> None:
    x = numbers((1, 1, 2, 2), 0)
    with pytest.raises(ValueError, match=r"colours is .*, expected"):
        losses.matting_loss(x, x, x, colours)


@pytest.mark.parametrize("wrong", [7, -1, 254])
def test_labels_that_are_no_class_are_named(wrong: int) -> None:
    label = torch.zeros(1, 4, 4, dtype=torch.int64)
    label[0, 1, 2] = wrong
    with pytest.raises(ValueError, match=rf"label holds .*{wrong}.*, expected 0\.\.2 or ignore_index, 255"):
        losses.segmentation_loss(torch.randn(1, 3, 4, 4), label)


def test_half_precision_sums_do_not_overflow_nor_its_small_numbers_vanish() -> None:
    """ε² is less than the least float16, whose root has an infinite slope; 300² pixels are more than its largest."""
    x = torch.full((1, 1, 300, 300), 0.9, dtype=torch.float16, requires_grad=True)
    one = torch.ones_like(x)
    loss = losses.alpha_loss(x, one, one)
    assert abs(loss.item() - 0.1) < 1e-3
    same = losses.alpha_loss(x, x.detach(), one)
    assert torch.autograd.grad(same, x)[0].eq(0).all()
    logits = torch.zeros(1, 3, 300, 300, dtype=torch.float16)
    valid = losses.segmentation_loss(logits, torch.zeros(1, 300, 300, dtype=torch.int64), average="valid")
    assert abs(valid.item() - 1.0986123) < 1e-5
