"""Checks of single values, shared with `denseup.engine`."""

import math
from typing import Any

import torch

GREATEST = torch.finfo(torch.float32).max


def is_whole(value: Any, least: int) -> bool:
    """Whether a value is an integer of at least `least`; true and false are none."""
    return isinstance(value, int) and not isinstance(value, bool) and value >= least


def is_number(value: Any, least: float = -math.inf) -> bool:
    """Whether a value is a number of at least `least`, finite in float32; true and false are none."""
    return isinstance(value, int | float) and not isinstance(value, bool) and least <= value <= GREATEST


def check_whole(name: str, value: Any, least: int, most: int | None = None) -> None:
    """ValueError unless a value is an integer of at least `least` and at most `most`."""
    if not is_whole(value, least) or (most is not None and value > most):
        limits = f"of at least {least}" if most is None else f"in {least} … {most}"
        raise ValueError(f"{name} is {value!r}, expected an integer {limits}")


def check_number(name: str, value: Any, least: float = 0.0) -> None:
    """ValueError unless a value is a finite number of at least `least`."""
    if not is_number(value, least):
        raise ValueError(f"{name} is {value!r}, expected a finite number of at least {least:g}")
