"""Calls of `F.interpolate` in a module's own code, sent to upsamplers.

The module keeps its `forward`, and gets a class that runs it under a mode in which torch hands every call over. It is
a class, for a function put on the object could not be pickled, and exporters look at the code of `forward`.
"""

import functools
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from denseup.integrations.torch.raising import Raising, size_after
from denseup.integrations.torch.sites import Lines, Site, lines_compiled, lines_within


class Routes:
    """Which sites of a module go where. No module, so that `nn.Module` does not register the upsamplers here."""

    def __init__(self) -> None:
        self.raisings: dict[Site, Raising] = {}


class Rerouted:
    """Mixed into a module's class."""

    routes: Routes

    def __init_subclass__(cls, **options: Any) -> None:
        """A class of the library may act on its subclasses; for it, this is none."""

    def __reduce_ex__(self, protocol: Any) -> Any:
        return _fresh, (type(self).__mro__[2],), self.__getstate__()


class Rerouting(TorchFunctionMode):
    """One call of a rerouted module."""

    def __init__(self, owner: nn.Module, routes: Routes) -> None:
        super().__init__()
        self.owner, self.routes = owner, routes
        self.visits: dict[Lines, int] = {}

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Every call of a function of torch comes here."""
        kwargs = kwargs or {}
        raising = self.route() if func is F.interpolate else None
        if raising is None:
            return func(*args, **kwargs)
        x, size, scale_factor = first_arguments(*args, **kwargs)
        return raising(x, size_after(x, size, scale_factor))

    def route(self) -> Raising | None:
        """What does this call of `F.interpolate`, if it is one of the owner's that was replaced."""
        compiling = torch.compiler.is_dynamo_compiling()
        lines = lines_compiled(BOUNDARY) if compiling else lines_within(self.owner)
        if lines is None:
            return None
        visit = self.visits.get(lines, 0)
        self.visits[lines] = visit + 1
        return self.routes.raisings.get((lines, visit))


@functools.cache
def _class_of(base: Any) -> Any:
    """The class of a module of class `base` whose calls are sent elsewhere."""

    @functools.wraps(base.forward)
    def rerouted_forward(self: Any, *args: Any, **kwargs: Any) -> Any:
        with Rerouting(self, self.routes):
            return base.forward(self, *args, **kwargs)

    names = {name: getattr(base, name) for name in ("__module__", "__qualname__", "__doc__")}
    return type(base.__name__, (Rerouted, base), {**names, "forward": rerouted_forward})


BOUNDARY = "rerouted_forward"


def routes_of(owner: Any, former: Routes | None = None) -> Routes:
    """The routes of a module, which is given the class that follows them; at first `former`, or none."""
    if not isinstance(owner, Rerouted):
        owner.__class__ = _class_of(type(owner))  # type: ignore[arg-type]
        owner.routes = former or Routes()
    routes: Routes = owner.routes
    return routes


def unroute(owner: Any) -> None:
    """Give a module its own class back."""
    owner.__class__ = type(owner).__mro__[2]
    del owner.routes


def first_arguments(input: Tensor, size: Any = None, scale_factor: Any = None, *_: Any, **__: Any) -> Any:
    """What of the arguments of `F.interpolate` says how large its result is."""
    return input, size, scale_factor


def _fresh(base: type[nn.Module]) -> Any:
    """What copying and pickling fill with a state."""
    return object.__new__(_class_of(base))  # type: ignore[arg-type]
