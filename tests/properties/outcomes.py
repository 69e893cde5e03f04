"""What may come of a call: a result, or ValueError or TypeError that names an argument."""

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any


class Refused(Exception):  # noqa: N818  an outcome like another
    """The call was refused by its own checks."""


def called(function: Callable[..., Any], arguments: Mapping[str, Any], names: Iterable[str]) -> Any:
    """The result; Refused where an argument is named, one of `names`. Any other error is passed on, and fails."""
    try:
        return function(**arguments)
    except (ValueError, TypeError) as error:
        text = str(error)
        if any(re.search(rf"\b{re.escape(name)}\b", text) for name in names):
            raise Refused(text) from error
        error.add_note(f"names none of {', '.join(names)}")
        raise AssertionError(f"{type(error).__name__} names none of {', '.join(names)}: {text}") from error
