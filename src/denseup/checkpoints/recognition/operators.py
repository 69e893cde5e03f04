"""Which registered upsampler a network's weights are of, with the options that their shapes tell.

Settings are proposed by `rules`, built on the meta device, and compared with the file: what fits in every key and shape
of every stage is a candidate.
"""

import inspect
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, get_args, get_origin, get_type_hints

import torch
from torch import nn

from denseup.checkpoints.layouts import of_operator
from denseup.checkpoints.recognition.rules import RULES, Options
from denseup.upsamplers import UpsamplerFactory
from denseup.upsamplers.registry import UPSAMPLERS
from denseup.weights import Shapes, shapes_of

COUNTER = "num_batches_tracked"
NO_OPTIONS = ("self", "de_channels", "en_channels", "scale_factor", "start")


class Stage(NamedTuple):
    """One upsampler of a network."""

    channels: int
    shapes: Shapes
    """By the authors' keys."""


@dataclass(frozen=True)
class Candidate:
    """An upsampler whose weights have these keys and shapes.

    Args:
        name: registered.
        options: that the shapes tell, or that were given.
        untold: further options, which change nothing in keys and shapes: they are the file's secret.
        others: further settings of the same operator that fit as well; `options` are then its defaults.
    """

    name: str
    options: Options
    untold: tuple[str, ...] = ()
    others: Sequence[Options] = field(default=())

    def __str__(self) -> str:
        return f"{self.name} ({', '.join(f'{key}={value}' for key, value in self.options.items()) or 'no options'})"


def candidates(
    stages: Sequence[Stage], name: str | None = None, given: Mapping[str, Any] | None = None
) -> list[Candidate]:
    """The upsamplers that fit.

    Args:
        stages: of a network, at least one.
        name: of the only one that is asked; None: all that are registered.
        given: its options, as far as they are known.

    Returns:
        At most one for each operator, unless several settings of it fit and none is that of its defaults.

    Raises:
        ValueError: unknown name, or an option that it does not have.
    """
    given = given or {}
    if name is not None:
        _check(name, given)
        given = {**UPSAMPLERS.preset(name), **given}
    by_factory: dict[Any, list[str]] = {}
    for one in UPSAMPLERS.names() if name is None else [name]:
        by_factory.setdefault(UPSAMPLERS.factories[one][0], []).append(one)
    return [one for factory, names in by_factory.items() for one in _of_factory(factory, names, stages, given)]


def _check(name: str, given: Mapping[str, Any]) -> None:
    UPSAMPLERS.find(name)
    wrong = [option for option in given if not UPSAMPLERS.takes(name, option)]
    if wrong:
        known = ", ".join(_defaults(UPSAMPLERS.factories[name][0])) or "none"
        raise ValueError(f"upsampler {name!r} has no option {', '.join(wrong)}, valid: {known}")
    for option, value in UPSAMPLERS.preset(name).items():
        if given.get(option, value) != value:
            raise ValueError(f"upsampler {name!r} fixes {option}={value!r}, but {option} is {given[option]!r}")


def _of_factory(
    factory: UpsamplerFactory, names: Sequence[str], stages: Sequence[Stage], given: Mapping[str, Any]
) -> list[Candidate]:
    fitting = [options for options in _settings(factory, stages[0], given) if _fits(factory, stages, options)]
    defaults, first = _defaults(factory), next(iter(fitting), {})
    unclear = [key for key in first if any(one.get(key) != first[key] for one in fitting)]
    usual = [one for one in fitting if all(one.get(key) == defaults[key] for key in unclear if key not in given)]
    chosen = usual[:1] or fitting
    others = [one for one in fitting if one != chosen[0]] if usual else []
    return [_candidate(factory, names, stages[0], options, others) for options in chosen]


def _candidate(
    factory: UpsamplerFactory, names: Sequence[str], stage: Stage, options: Options, others: Sequence[Options]
) -> Candidate:
    """By the name that fixes most of its options."""
    whole = {**_defaults(factory), **options}
    fixing = {name: UPSAMPLERS.preset(name) for name in names}
    fitting = [name for name, fixed in fixing.items() if all(whole.get(key) == value for key, value in fixed.items())]
    name = max(fitting or names, key=lambda name: len(fixing[name]))
    told = {key: value for key, value in options.items() if key not in fixing[name]}
    untold = tuple(option for option in _untold(factory, stage, options) if option not in fixing[name])
    return Candidate(name, told, untold, others)


def _settings(factory: UpsamplerFactory, stage: Stage, given: Mapping[str, Any]) -> Iterator[Options]:
    """Settings that may fit a stage and do not contradict what is given."""
    try:
        proposed = list(RULES[factory](_ours(factory, stage.shapes), stage.channels)) if factory in RULES else [{}]
    except (KeyError, IndexError):  # weights of another operator
        return
    for options in proposed:
        if all(options.get(key, value) == value for key, value in given.items()):
            yield {**options, **given}


def _fits(factory: UpsamplerFactory, stages: Sequence[Stage], options: Options) -> bool:
    different = {(stage.channels, tuple(sorted(stage.shapes.items()))) for stage in stages}
    return all(
        _squeezed(_ours(factory, dict(shapes))) == _built(factory, channels, options) for channels, shapes in different
    )


def _ours(factory: UpsamplerFactory, shapes: Shapes) -> dict[str, tuple[int, ...]]:
    """The authors' shapes by our keys, without constants."""
    convert = of_operator(getattr(factory, "official_keys", {}))
    return {target: shape for key, shape in shapes.items() for target in convert(key)}


def _built(factory: UpsamplerFactory, channels: int, options: Options) -> Shapes | None:
    """Keys and shapes of an operator; None where there is none of these options."""
    try:
        with torch.device("meta"):
            built: nn.Module = factory(channels, channels, **options)
    except ValueError:
        return None
    return _squeezed(shapes_of(built.state_dict()))


def _squeezed(shapes: Shapes) -> dict[str, tuple[int, ...]]:
    """Without counters, and without dimensions of length 1: a linear layer is a 1×1 convolution."""
    return {key: tuple(n for n in shape if n != 1) for key, shape in shapes.items() if not key.endswith(COUNTER)}


def _untold(factory: UpsamplerFactory, stage: Stage, options: Options) -> Iterator[str]:
    """The options left at their defaults of which another value would have the same keys and shapes."""
    built = _built(factory, stage.channels, options)
    kinds = get_type_hints(getattr(factory, "__init__", factory))
    for option, default in _defaults(factory).items():
        others = () if option in options else _other_values(default, kinds.get(option))
        if any(_built(factory, stage.channels, {**options, option: value}) == built for value in others):
            yield option


def _other_values(default: Any, kind: Any) -> Sequence[Any]:
    if get_origin(kind) is Literal:
        return [value for value in get_args(kind) if value != default]
    if isinstance(default, bool):
        return [not default]
    return [default + 2, 2 * default] if isinstance(default, int | float) else []


def _defaults(factory: UpsamplerFactory) -> Options:
    """The options of an operator and their defaults."""
    parameters = inspect.signature(factory).parameters.values()
    named = (p for p in parameters if p.name not in NO_OPTIONS and p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL))
    return {p.name: None if p.default is p.empty else p.default for p in named}
