"""Arguments that Hydra cannot read: named, and shown with the quotes that they need."""

import shlex
import sys
from collections.abc import Sequence
from typing import NoReturn

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException

TAKING_A_VALUE = ("--config-path", "-cp", "--config-name", "-cn", "--config-dir", "-cd", "--package", "-p")
"""Options of Hydra that the next argument belongs to."""


def quoted(value: str, quote: str = '"') -> str:
    """A value as Hydra reads it literally, whatever is in it."""
    escaped = value.replace(f"\\{quote}", f"\\\\{quote}").replace(quote, f"\\{quote}")
    return f"{quote}{escaped}\\{quote}" if escaped.endswith("\\") else f"{quote}{escaped}{quote}"


def refuse_unreadable(argv: Sequence[str], groups: Sequence[str]) -> None:
    """End with a message that names the argument where Hydra's would only point at a character.

    Args:
        argv: the command line.
        groups: names of config groups, of which each has to be something.
    """
    parser, multirun = OverridesParser.create(), bool({"-m", "--multirun"} & set(argv))
    for option, argument in zip(["", *argv], argv, strict=False):
        key, equals, value = argument.partition("=")
        if argument.startswith("-") or option in TAKING_A_VALUE or not equals:
            continue
        if key in groups and value == "null":
            sys.exit(f"{argument}: the group {key} has no such choice; leave the argument out for the default")
        try:
            several = parser.parse_override(argument).is_sweep_override()
        except HydraException as error:
            _refuse(key, value, f"cannot be read ({str(error).splitlines()[0]})")
        if several and key not in groups and not multirun:
            _refuse(key, value, "stands for several, which only a sweep (-m) can have")


def _refuse(key: str, value: str, why: str) -> NoReturn:
    example = shlex.quote(f"{key}={quoted(value)}")
    sys.exit(
        f"{key}: the value {value} {why}.\n"
        f"Characters such as = , [ ] {{ }} ( ) # & need quotes, and these need the shell's: {example}"
    )
