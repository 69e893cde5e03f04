"""What every operator asks of its arguments. An error names the argument, what came and what is valid."""

import operator
from typing import Any

import torch
from torch import Tensor


def whole_number(name: str, value: Any, at_least: int = 1) -> int:
    """`value` as an int: Python's, NumPy's, or a size that a tracer stands for.

    Raises:
        ValueError: it is no whole number (a bool or a float is none, whatever its value), or less than `at_least`.
    """
    if isinstance(value, torch.SymInt):
        return value  # type: ignore[return-value]
    number = _as_int(value)
    if number is None or number < at_least:
        raise ValueError(f"{name} is {value!r}, expected a whole number ≥ {at_least}")
    return number


def odd_number(name: str, value: Any) -> int:
    """`value` as an odd int ≥ 1; ValueError if it is none."""
    number = _as_int(value)
    if number is None or number < 1 or number % 2 == 0:
        raise ValueError(f"{name} is {value!r}, expected an odd number ≥ 1")
    return number


def is_whole(value: Any) -> bool:
    """Whether `whole_number` takes it, however small."""
    return isinstance(value, torch.SymInt) or _as_int(value) is not None


def _as_int(value: Any) -> int | None:
    """None for what is no whole number; sizes in `torch.jit.trace` are tensors."""
    if type(value) is int:
        return value
    if isinstance(value, bool) or (isinstance(value, Tensor) and (value.dim() or value.dtype is torch.bool)):
        return None
    try:
        return operator.index(value)
    except TypeError:
        return None


def check_map(name: str, x: Tensor, expected: str = "[B, C, h, w]") -> None:
    """A map: floating point, four dimensions, no side of no length."""
    if x.dim() != 4 or not x.is_floating_point():
        raise ValueError(f"{name} is {x.dtype} {list(x.shape)}, expected floating point {expected}")
    if x.shape[2] == 0 or x.shape[3] == 0:
        raise ValueError(f"{name} has shape {list(x.shape)}, expected a height and a width ≥ 1")


def check_groups(groups: int, channels: int, name: str) -> None:
    """Groups divide the channels of `name`."""
    if groups < 1 or channels % groups:
        raise ValueError(f"groups is {groups}, expected a divisor of {name}'s {channels} channels")


def check_shape(name: str, x: Tensor, expected: list[int], meaning: str) -> None:
    """The one shape that fits the other arguments."""
    if list(x.shape) != expected:
        raise ValueError(f"{name} has shape {list(x.shape)}, expected {expected} {meaning}")


def check_device(name: str, x: Tensor, other: str, y: Tensor) -> None:
    """Both on one device."""
    if x.device != y.device:
        raise ValueError(f"{name} is on {str(x.device)!r}, expected {str(y.device)!r}, where {other} is")


def check_alike(name: str, x: Tensor, other: str, y: Tensor) -> None:
    """Both on one device and of one dtype."""
    check_device(name, x, other, y)
    if x.dtype != y.dtype:
        raise ValueError(f"{name} is {x.dtype}, expected {y.dtype} as {other} has")
