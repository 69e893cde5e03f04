"""Names → what builds them: one rule for everything that configs choose by name."""

import difflib
import inspect
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, Generic, TypeVar

T = TypeVar("T")
Built = TypeVar("Built", bound=Callable[..., Any])


class Registry(Generic[T]):
    """Names of one kind of thing, each with what builds it and the options that the name fixes.

    Args:
        kind: what the names are of, for messages: "upsampler".
    """

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.factories: dict[str, tuple[Callable[..., T], dict[str, Any]]] = {}

    def register(self, name: str, **preset: Any) -> Callable[[Built], Built]:
        """Decorator: make a class or function known as `name`, with the options of `preset` fixed.

        Raises:
            ValueError: the name is taken.
        """

        def register(factory: Built) -> Built:
            taken = self.factories.setdefault(name, (factory, preset))
            if taken != (factory, preset):
                article = "an" if self.kind[0] in "aeiou" else "a"
                raise ValueError(f"{article} {self.kind} named {name!r} is registered already: {taken[0]}")
            return factory

        return register

    def find(self, name: str) -> Callable[..., T]:
        """What builds `name`: a callable that takes the options which the name does not fix.

        Raises:
            ValueError: unknown name; the message gives the nearest one and lists all.
        """
        if not isinstance(name, str) or name not in self.factories:
            nearest = difflib.get_close_matches(str(name), self.factories, n=1, cutoff=0.4)
            hint = f" Did you mean {nearest[0]!r}?" if nearest else ""
            raise ValueError(f"{self.kind} {name!r} is unknown.{hint} Known: {', '.join(self.names())}")
        factory, preset = self.factories[name]
        return partial(self._build, name) if preset else factory

    def preset(self, name: str) -> dict[str, Any]:
        """The options that `name` fixes."""
        return dict(self.factories[name][1])

    def defaults(self, name: str) -> dict[str, Any]:
        """The options that `name` has where nobody says anything; of arguments without a default, nothing."""
        parameters = inspect.signature(self.factories[name][0]).parameters.values()
        return {p.name: p.default for p in parameters if p.default is not p.empty} | self.preset(name)

    def takes(self, name: str, option: str) -> bool:
        """Whether what builds `name` has an argument `option`, or takes any."""
        parameters = inspect.signature(self.factories[name][0]).parameters.values()
        return any(p.name == option or p.kind is p.VAR_KEYWORD for p in parameters)

    def check_options(self, name: str, options: Iterable[str]) -> None:
        """TypeError for one that what builds `name` does not take, with those that it does."""
        unknown = [option for option in options if not self.takes(name, option)]
        if unknown:
            valid = ", ".join(sorted(set(inspect.signature(self.factories[name][0]).parameters) - {"self"}))
            raise TypeError(f"{self.kind} {name!r} got an unexpected keyword argument {unknown[0]!r}, valid: {valid}")

    def _build(self, name: str, *args: Any, **options: Any) -> T:
        """Of a preset; a ValueError for an option that it fixes, unless it is the same."""
        factory, preset = self.factories[name]
        for option, value in preset.items():
            if options.setdefault(option, value) != value:
                raise ValueError(f"{self.kind} {name!r} fixes {option}={value!r}, but {option} is {options[option]!r}")
        return factory(*args, **options)

    def names(self) -> list[str]:
        """All registered names, sorted."""
        return sorted(self.factories)
