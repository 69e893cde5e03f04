"""Which back end serves a call: one rule for every operator that has several.

The argument `backend`, then `use_backend`, then DENSEUP_BACKEND, then the first of the operator's back ends that has no
reason against it. An argument that cannot be followed raises with all reasons. The automatic choice never fails, for
nothing stands against the reference.

A scope or the variable speak of reassembly and bind it as the argument does. The convolutions around it (`bound=False`)
follow where they can, and else take their reference: whoever asks for one back end gets no other mixed in.

A back end is a module with `NAME`, `unsupported_reasons(…)` and the operator's functions. It is listed in `backends.py`
of the operator's folder, or registered from outside by `Backends.register`.
"""

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Generic, Protocol, TypeVar

import torch

ENVIRONMENT_VARIABLE = "DENSEUP_BACKEND"
REFERENCE = "reference"
"""The back end that every operator has: nothing ever stands against it."""


class Backend(Protocol):
    """What all back ends have; each operator asks for functions of its own besides."""

    NAME: str

    def unsupported_reasons(self, *call: Any) -> list[str]:
        """Why it should not serve a call, in words for the user; empty if it should."""
        ...


AnyBackend = TypeVar("AnyBackend", bound=Backend)


class Backends(Generic[AnyBackend]):
    """The back ends of one operator.

    Args:
        operator: its name.
        modules: the back ends, in the order in which the automatic choice tries them. What stands behind the reference
            serves only where it is asked for.
        example: what `unsupported_reasons` is to be asked with, of a dtype and a device, to describe the back ends.
        bound: whether it must keep the choice of a scope, or follows where it can.
    """

    def __init__(
        self,
        operator: str,
        modules: Iterable[AnyBackend],
        example: Callable[[torch.dtype, str], tuple[Any, ...]],
        bound: bool = True,
    ) -> None:
        self.operator, self.example, self.bound = operator, example, bound
        self._modules = {module.NAME: module for module in modules}
        BACKENDS_OF[operator] = self

    def names(self) -> list[str]:
        """In the order in which the automatic choice tries them."""
        return list(self._modules)

    def get(self, name: str) -> AnyBackend:
        """The back end `name`; ValueError lists the valid names."""
        if not isinstance(name, str) or name not in self._modules:
            raise _unknown(name, self._modules)
        return self._modules[name]

    def register(self, module: AnyBackend, before: str | None = REFERENCE) -> None:
        """Add a back end, tried before the one named; None: one that serves only where it is asked for."""
        if before is not None:
            self.get(before)
        if module.NAME in self._modules:
            raise ValueError(f"backend {module.NAME!r} of {self.operator} is registered already")
        names = self.names()
        names.insert(len(names) if before is None else names.index(before), module.NAME)
        self._modules[module.NAME] = module
        self._modules = {name: self._modules[name] for name in names}

    def unregister(self, name: str) -> None:
        """Take a back end away again."""
        self.get(name)
        del self._modules[name]

    def choose(self, name: str | None, *call: Any) -> str:
        """Name of the back end that serves this call; `name` is the caller's own choice.

        Raises:
            ValueError: an explicitly chosen back end is unknown or cannot serve the call.
        """
        if name is not None:
            return self._able(name, *call)
        wish = wished()
        if wish:
            return self._able(wish, *call) if self._is_bound_by(wish) else self._following(wish, *call)
        for name, module in self._modules.items():
            if not module.unsupported_reasons(*call):
                return name
        raise AssertionError(f"{self.operator} has no back end {REFERENCE!r}")

    def serving(self, name: str, *call: Any) -> AnyBackend:
        """The back end `name`, or, for a program that names none, the first that can take the call at all.

        What stands against a back end may be only that another is faster. One that knows such reasons tells the others
        by `limits`.

        Raises:
            ValueError: that back end is unknown or cannot take the call.
        """
        if not name:
            return next(module for module in self._modules.values() if not _limits(module)(*call))
        module = self.get(name)
        reasons = _limits(module)(*call)
        if reasons:
            raise _unable(name, reasons)
        return module

    def _is_bound_by(self, wish: str) -> bool:
        """Not by a back end that only other operators have: a misspelt one is refused."""
        elsewhere = any(wish in backends.names() for backends in BACKENDS_OF.values())
        return self.bound and (wish in self._modules or not elsewhere)

    def _able(self, name: str, *call: Any) -> str:
        reasons = self.get(name).unsupported_reasons(*call)
        if reasons:
            raise _unable(name, reasons)
        return name

    def _following(self, wish: str, *call: Any) -> str:
        module = self._modules.get(wish)
        return REFERENCE if module is None or module.unsupported_reasons(*call) else wish


BACKENDS_OF: dict[str, Backends[Any]] = {}
"""By the operator's name: of every operator that has a choice."""
_in_use: list[str] = []  # innermost `use_backend` last; a plain list, because torch.compile can look into it


def wished() -> str | None:
    """The back end that a scope or the variable asks for."""
    return _in_use[-1] if _in_use else os.environ.get(ENVIRONMENT_VARIABLE) or None


def available_backends(operator: str = "reassembly") -> list[str]:
    """Names of an operator's back ends, in the order in which the automatic choice tries them.

    Raises:
        ValueError: no operator of this name has a choice.
    """
    if not isinstance(operator, str) or operator not in BACKENDS_OF:
        raise ValueError(f"operator is {operator!r}, valid: {', '.join(BACKENDS_OF)}")
    return BACKENDS_OF[operator].names()


@contextmanager
def use_backend(name: str) -> Iterator[None]:
    """Serve every reassembly of this process, while the context lasts, with the back end `name`.

    The convolutions that make kernels are served by it where it can, else by torch.

    Raises:
        ValueError: no back end has this name.
    """
    known = dict.fromkeys(known for backends in BACKENDS_OF.values() for known in backends.names())
    if not isinstance(name, str) or name not in known:
        raise _unknown(name, known)
    _in_use.append(name)
    try:
        yield
    finally:
        _in_use.pop()


def _limits(module: Any) -> Callable[..., list[str]]:
    found: Callable[..., list[str]] = getattr(module, "limits", module.unsupported_reasons)
    return found


def _unknown(name: str, valid: Iterable[str]) -> ValueError:
    return ValueError(f"backend {name!r} is unknown; valid: {', '.join(valid)}")


def _unable(name: str, reasons: list[str]) -> ValueError:
    return ValueError(f"backend {name!r} cannot serve this call: {'; '.join(reasons)}")
