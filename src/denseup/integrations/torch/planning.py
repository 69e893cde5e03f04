"""For every step of a trace: the upsampler that takes it over, built for it, or the reason why none does."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import torch

from denseup.integrations.torch.deciding import Group, factor_of, grouped, notes, objections
from denseup.integrations.torch.guides import image_of, references
from denseup.integrations.torch.paths import Reference
from denseup.integrations.torch.tracing import Trace
from denseup.upsamplers.base import Upsampler
from denseup.upsamplers.registry import UPSAMPLERS, create_upsampler

Guides = Literal["joined", "any"]


@dataclass(frozen=True)
class Wish:
    """What the user asked for; see `replace_upsampling`."""

    upsampler: str
    options: dict[str, Any]
    logits: bool = False
    guides: Guides = "joined"
    otherwise: str | None = None

    def __post_init__(self) -> None:
        for name in (self.upsampler, self.otherwise):
            if name is not None:
                UPSAMPLERS.find(name)
        if self.guides not in ("joined", "any"):
            raise ValueError(f"guides is {self.guides!r}, valid: 'joined', 'any'")
        if self.otherwise is not None and traits(self.otherwise).guided:
            raise ValueError(f"otherwise is {self.otherwise!r}, which is guided too: name one that needs no guide")

    def options_of(self, name: str) -> dict[str, Any]:
        """Of the upsampler itself; the one that steps in for it shares the start alone."""
        if name == self.upsampler:
            return self.options
        return {key: value for key, value in self.options.items() if key == "start"}


@dataclass(eq=False)
class Plan:
    """A step, and what will do it; None where it is left."""

    group: Group
    upsampler: Upsampler | None = None
    guide: Reference | None = None
    image: Reference | None = None
    refused: bool = False
    """By the upsampler: for its channels, sizes or options."""


class RefusalError(Exception):
    """An upsampler cannot do a step; the text says why."""


def planned(trace: Trace, wish: Wish) -> list[Plan]:
    """A plan for every step, in their order."""
    return [_plan(trace, group, wish) for group in grouped(trace)]


def _plan(trace: Trace, group: Group, wish: Wish) -> Plan:
    reason = next(objections(trace, group, wish.logits), None)
    if reason is None:
        try:
            return _best(trace, group, wish)
        except RefusalError as refusal:
            group.step.reason = str(refusal)
            return Plan(group, refused=isinstance(refusal.__cause__, ValueError))
    group.step.reason = reason
    return Plan(group)


def check_feasible(plans: list[Plan], wish: Wish) -> None:
    """ValueError if the upsampler, with its options, fits none of the steps that it was to do."""
    refused = [plan.group.step for plan in plans if plan.refused]
    if refused and not any(plan.upsampler for plan in plans):
        raise ValueError(f"{wish.upsampler} can do none of the steps; {refused[0].where}: {refused[0].reason}")


def _best(trace: Trace, group: Group, wish: Wish) -> Plan:
    """The upsampler that was asked for, or the one that takes its place where there is no guide."""
    guide, channels = None, None
    name = wish.upsampler
    if traits(name).guided:
        guide, channels = next(common_guides(trace, group, wish.guides == "any"), (None, None))
        if guide is None and wish.otherwise is None:
            raise RefusalError(f"{name} is guided, and {_no_guide(wish.guides)}")
        name = name if guide is not None else str(wish.otherwise)
    image = image_of(trace, group.first) if traits(name).needs_image else None
    if traits(name).needs_image and image is None:
        raise RefusalError(f"{name} needs the image, and no argument of the model is a map of the result's size")
    plan = Plan(group, _build(group, name, channels, wish), guide, image)
    group.step.upsampler = name
    group.step.guide = None if guide is None else str(guide)
    return plan


def _no_guide(guides: Guides) -> str:
    made = "no map of its result's size was made before it"
    return made if guides == "any" else "its result meets no map of its size that was there before it"


def common_guides(trace: Trace, group: Group, anywhere: bool) -> Iterator[tuple[Reference, int]]:
    """Guides that every use of the step has, the best first."""
    first, *others = group.uses
    if not others:
        yield from references(trace, first, anywhere)
        return
    found = [set(references(trace, use, anywhere)) for use in others]
    yield from (guide for guide in references(trace, first, anywhere) if all(guide in some for some in found))


def _build(group: Group, name: str, en_channels: int | None, wish: Wish) -> Upsampler:
    """The upsampler of a step, where its owner is; RefusalError if it cannot be."""
    use, factor = group.first, factor_of(group.first)
    (h, w), size = use.source.tensor.shape[2:], tuple(use.result.tensor.shape[2:])
    why = traits(name).exact_factor_only
    if why and size != (h * factor, w * factor):
        raise RefusalError(f"{name} cannot make {size} of {(h, w)}: {why}") from ValueError(why)
    options = wish.options_of(name)
    if UPSAMPLERS.takes(name, "own_downsampling"):  # the network pools: these parameters would never learn
        options = {"own_downsampling": False, **options}
    # A transposed convolution's 1×1 convolution comes first, so that fewer channels are raised.
    channels = use.result.tensor.shape[1]
    try:
        upsampler = create_upsampler(
            name, de_channels=channels, en_channels=en_channels, scale_factor=factor, **options
        )
    except ValueError as error:
        raise RefusalError(str(error)) from error
    group.step.notes = list(notes(group, factor))
    return upsampler


def traits(name: str) -> type[Upsampler]:
    """The class behind a name; of a function, that of what it builds."""
    kind: Any = UPSAMPLERS.factories[name][0]
    if not isinstance(kind, type):
        with torch.random.fork_rng([]):
            kind = type(create_upsampler(name, de_channels=64))
    return kind
