"""Tensors inside what modules are called with and return: tuples, lists, mappings, data classes, nested."""

import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

Path = tuple[int | str, ...]
"""Indices, keys and names of attributes, from the outside inwards."""


@dataclass(frozen=True)
class Reference:
    """Where a map can be had whenever the model runs: an argument or the output of one of its modules."""

    module: str
    """Its name in the model; "" is the model."""
    path: Path
    """Within the output; within the arguments, after their position (or None, if it has none) and name."""
    argument: bool
    scope: str
    """The module during whose call the map is kept."""
    changed_later: bool = False
    """It is changed in place after the step: the step takes a copy."""

    def __str__(self) -> str:
        rest = "".join(f"[{step!r}]" for step in self.path[2 if self.argument else 0 :])
        where = self.module or "the model"
        return f"{where}'s {self.path[1]}{rest}" if self.argument else f"{where}{rest}"


def leaves(value: Any, path: Path = ()) -> Iterator[tuple[Path, Tensor]]:
    """Every tensor with its path."""
    if isinstance(value, Tensor):
        yield path, value
    elif isinstance(value, Mapping):
        for key, part in value.items():
            yield from leaves(part, (*path, key))
    elif isinstance(value, (list, tuple)):
        for index, part in enumerate(value):
            yield from leaves(part, (*path, index))
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        for part in dataclasses.fields(value):
            yield from leaves(getattr(value, part.name), (*path, part.name))


def tensors(value: Any) -> list[Tensor]:
    """Every tensor."""
    return [x for _, x in leaves(value)]


def path_to(x: Tensor, value: Any) -> Path | None:
    """Where in `value` the very tensor `x` is; None if it is nowhere."""
    return next((path for path, found in leaves(value) if found is x), None)


def pick(value: Any, path: Path) -> Any:
    """What is at `path`.

    Raises:
        LookupError, AttributeError: nothing is there.
    """
    for step in path:
        inside: Any = isinstance(value, (Mapping, list, tuple))
        value = value[step] if inside else getattr(value, str(step))
    return value
