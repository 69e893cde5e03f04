"""How a row of ours passes through ultralytics' `parse_model`, which knows its own modules and their channels.

It looks a row's module up by name in the namespace of `ultralytics.nn.tasks`; replaces an argument that is the name of
one of its variables by that variable, as model yamls do with `nc`; and for a module that it does not know takes the
output to have the channels `ch[from]`. So a row of ours is handed on with the name under which our layer stands there,
with the argument "ch", the channels of all layers so far, and with a `from` of two layers that counts as the first of
them where a list is indexed.
"""

import difflib
import functools
import inspect
from typing import Any, Protocol

import ultralytics.nn
from torch import nn
from ultralytics.nn import tasks

from denseup.integrations.ultralytics.layer import Upsampling
from denseup.integrations.ultralytics.row import Row, read_row
from denseup.upsamplers.registry import UPSAMPLERS, list_upsamplers

PREFIX = "denseup."
LAYER = "denseup.integrations.ultralytics.Upsampling"
"""The name of our layer in the namespace of `ultralytics.nn.tasks`; no attribute can have it."""


class ParseModel(Protocol):
    """ultralytics' function."""

    def __call__(self, d: dict[str, Any], *args: Any, **options: Any) -> tuple[nn.Sequential, list[int]]:
        """A model yaml, channels of the input → the layers, and which outputs are kept."""


def wrap_parse_model() -> None:
    """Let ultralytics parse models by our function, once."""
    theirs = inspect.unwrap(tasks.parse_model, stop=lambda function: not _is_ours(function))
    if "ch" not in theirs.__code__.co_varnames:
        raise ImportError("denseup.integrations.ultralytics does not know the parse_model of this ultralytics")
    vars(tasks)[LAYER] = Upsampling
    tasks.parse_model = ultralytics.nn.parse_model = _parsing_by(theirs)


def _is_ours(function: Any) -> bool:
    return hasattr(function, "__wrapped__") and getattr(function, "denseup", False)


def _parsing_by(theirs: ParseModel) -> ParseModel:
    @functools.wraps(theirs)
    def parse_model(d: dict[str, Any], *args: Any, **options: Any) -> tuple[nn.Sequential, list[int]]:
        first = len(d["backbone"])
        backbone = [_translated(i, row) for i, row in enumerate(d["backbone"])]
        head = [_translated(first + i, row) for i, row in enumerate(d["head"])]
        layers, kept = theirs({**d, "backbone": backbone, "head": head}, *args, **options)
        for layer in layers:
            if isinstance(layer, Upsampling):
                source: Any = layer.f
                vars(layer).update(f=list(source) if isinstance(source, list) else source, type=PREFIX + layer.row.name)
        return layers, kept

    parse_model.denseup = True  # type: ignore[attr-defined]
    return parse_model


def _translated(index: int, row: list[Any]) -> list[Any]:
    """A row of ours as `parse_model` takes it; another one as it is."""
    source, repeats, module, arguments = row
    if not isinstance(module, str) or module.startswith(("nn.", "torchvision.ops.")) or module in vars(tasks):
        return row
    name = module.removeprefix(PREFIX)
    if name not in UPSAMPLERS.factories:
        nearest = difflib.get_close_matches(name, [*list_upsamplers(), *vars(tasks)], n=1, cutoff=0.6)
        hint = f" Did you mean {nearest[0]!r}?" if nearest else ""
        raise ValueError(
            f"row {index} of the model, [{source}, {repeats}, {module}, {arguments}]: {module!r} is neither a module "
            f"of ultralytics nor an upsampler of denseup.{hint} denseup has: {', '.join(list_upsamplers())}"
        )
    read = read_row(index, row, name)
    return [_From(source) if isinstance(source, (list, tuple)) else source, 1, LAYER, _Arguments(["ch", read])]


class _From(list[int]):
    """The layers that a row reads, which where a list is indexed stands for the first of them."""

    def __index__(self) -> int:
        return self[0]


class _Arguments(list[Any]):
    """Arguments of our layer: the channels so far, and the row; printed as the row has them."""

    def __str__(self) -> str:
        channels, row = self
        assert isinstance(row, Row)
        known = [] if isinstance(channels, str) else [channels[source] for source in row.sources]
        return str([*known, row.scale_factor, *([row.options] if row.options else [])])

    __repr__ = __str__
