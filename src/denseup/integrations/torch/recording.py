"""What a trace is made of: values, calls of functions and of modules."""

from dataclasses import dataclass, field
from typing import Any

from torch import Tensor, nn

from denseup.integrations.torch.sites import Site
from denseup.ops.geometry import Size

COPYING = {"interpolate", "repeat_interleave", "repeat", "expand", "tile", "grid_sample"}
"""Functions that make a map larger by its own values, which tell no more places apart than there were."""


@dataclass(eq=False)
class Node:
    """A value on the way. What changes in place is another value of the same tensor."""

    tensor: Tensor
    version: int
    time: int
    parents: tuple["Node", ...] = ()
    from_input: bool = False
    """Depends on what the model is called with."""
    learned: bool = False
    """Depends on a parameter."""
    detail: bool = False
    """Made of something that tells its places apart, and not of features that were only interpolated."""
    maker: str = ""
    """Name of the function that made it."""
    children: list["Node"] = field(default_factory=list)


@dataclass(eq=False)
class Event:
    """One call of a function of torch."""

    time: int
    name: str
    inputs: tuple[Node, ...]
    outputs: tuple[Node, ...]


@dataclass(eq=False)
class Call:
    """One call of a module."""

    module: nn.Module
    name: str
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    start: int
    output: Any = None
    end: int | None = None


@dataclass(eq=False)
class Use:
    """One call of a function that raises."""

    function: str
    stack: tuple[Call, ...]
    """The modules that were at work, the outermost first; without modules of torch that only call the function."""
    module: nn.Module | None
    """Of torch's own, if that called the function."""
    site: Site | None
    source: Node
    result: Node
    settings: dict[str, Any]
    time: int
    versions: dict[int, int]
    """Of every map that was there, by its id."""

    @property
    def owner(self) -> Call:
        """The module whose code it is."""
        return self.stack[-1]


def version(x: Tensor) -> int:
    """How often a tensor, or one that shares its memory, was changed in place."""
    return 0 if x.is_inference() else x._version


def size_of(x: Tensor) -> Size | None:
    """(H, W) of a map, None for anything else."""
    return (x.shape[-2], x.shape[-1]) if x.dim() >= 4 else None


def raises(function: str, x: Tensor, y: Tensor) -> bool:
    """Whether `y` has places that `x` does not know apart: it was raised, or `x` is one value for all of them."""
    if y.dim() < 4 or x.numel() >= y.numel():
        return False
    one_place = x.dim() < 3 or (x.dim() > 3 and x.shape[-2] * x.shape[-1] == 1)
    return one_place or function in COPYING
