"""What every operator asks of its arguments. An error names the argument, what came and what is valid."""

import math
import operator
import sys
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

FLOATS = (torch.float32, torch.bfloat16, torch.float16, torch.float64)
"""Dtypes of maps. Torch computes nothing in the smaller ones."""
LARGEST = 2**63 - 1
"""A number of C: beyond it others would be taken, without a word."""
WIDEST = 8
"""Bytes of a number."""


def whole_number(name: str, value: Any, at_least: int = 1, at_most: int = LARGEST) -> int:
    """`value` as an int: Python's, NumPy's, or a size that a tracer stands for.

    Raises:
        ValueError: it is no whole number (a bool or a float is none, whatever its value), less than `at_least`, or
            more than `at_most`.
    """
    if isinstance(value, torch.SymInt):
        return value  # type: ignore[return-value]
    number = _as_int(value)
    if number is None or number < at_least or _is_beyond(number, at_most):
        raise ValueError(f"{name} is {value!r}, expected a whole number ≥ {at_least}{_bounded(number, at_most)}")
    return number


def odd_number(name: str, value: Any, at_most: int = LARGEST) -> int:
    """`value` as an odd int ≥ 1; ValueError if it is none, or more than `at_most`."""
    number = _as_int(value)
    if number is None or number < 1 or number % 2 == 0 or _is_beyond(number, at_most):
        raise ValueError(f"{name} is {value!r}, expected an odd number ≥ 1{_bounded(number, at_most)}")
    return number


def _is_beyond(number: int, limit: int) -> bool:
    """Sizes that a compiler takes for symbols are not: to ask would bind them."""
    return not torch.compiler.is_compiling() and number > limit


def _bounded(number: int | None, limit: int) -> str:
    if number is None or not _is_beyond(number, limit):
        return ""
    return " and < 2⁶³" if limit == LARGEST else f" and ≤ {limit}"


def is_whole(value: Any) -> bool:
    """Whether `whole_number` takes it, however small."""
    return isinstance(value, torch.SymInt) or _as_int(value) is not None


def is_label(value: Any) -> bool:
    """Whether it is a whole number that an int64 holds."""
    number = _as_int(value)
    return isinstance(value, torch.SymInt) or (number is not None and -LARGEST - 1 <= number <= LARGEST)


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


def two_lengths(name: str, size: Any) -> tuple[int, int]:
    """A size (height, width) as two ints; ValueError if it is not two whole numbers ≥ 1."""
    try:
        height, width = size
    except (TypeError, ValueError):
        raise ValueError(f"{name} is {size!r}, expected (height, width), two whole numbers ≥ 1") from None
    return whole_number(f"height of {name}", height), whole_number(f"width of {name}", width)


def one_of(name: str, value: Any, valid: Sequence[str | None]) -> None:
    """One of the words that are valid, or None where that is; ValueError if it is none."""
    if not (value is None or isinstance(value, str)) or value not in valid:
        raise ValueError(f"{name} is {value!r}, valid: {', '.join(map(repr, valid))}")


def true_or_false(name: str, value: Any) -> bool:
    """A flag; ValueError for what is none, for any word is true to Python, "no" as well."""
    if not isinstance(value, bool):
        raise ValueError(f"{name} is {value!r}, expected True or False")
    return value


def finite_number(name: str, value: Any, otherwise: str = "") -> float:
    """A number as a float: neither NaN nor infinite, and no flag; ValueError if it is none."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not abs(value) <= sys.float_info.max:
        raise ValueError(f"{name} is {value!r}, expected a finite number{otherwise}")
    return float(value)


def is_dense(x: Any) -> bool:
    """Whether it is a tensor whose values lie in memory one by one, as all operators read them."""
    return isinstance(x, Tensor) and x.layout is torch.strided and not x.is_nested


def check_tensor(name: str, x: Any, expected: str) -> None:
    """A dense tensor."""
    if not isinstance(x, Tensor):
        raise ValueError(f"{name} is of type {type(x).__name__}, expected a tensor {expected}")
    if not is_dense(x):
        layout = "nested" if x.is_nested else str(x.layout)
        raise ValueError(f"{name} is {layout}, expected a dense tensor {expected}")


def check_floats(name: str, x: Any, dimensions: int, expected: str) -> None:
    """A dense tensor of a dtype in `FLOATS`, with so many dimensions."""
    if not is_dense(x):
        check_tensor(name, x, expected)
    if x.dim() != dimensions or x.dtype not in FLOATS:
        smaller = x.is_floating_point() and x.dtype not in FLOATS
        kind = f"floating point ({', '.join(map(str, FLOATS))})" if smaller else "floating point"
        raise ValueError(f"{name} is {x.dtype} {list(x.shape)}, expected {kind} {expected}")


def check_map(name: str, x: Tensor, expected: str = "[B, C, h, w]") -> None:
    """A map: floating point, four dimensions, no side of no length."""
    check_floats(name, x, 4, expected)
    if x.shape[2] == 0 or x.shape[3] == 0:
        raise ValueError(f"{name} has shape {list(x.shape)}, expected a height and a width ≥ 1")


def check_groups(groups: int, channels: int, name: str) -> None:
    """Groups divide the channels of `name`."""
    if groups < 1 or channels % groups:
        raise ValueError(f"groups is {groups}, expected a divisor of {name}'s {channels} channels")


def check_shape(name: str, x: Tensor, expected: list[int], meaning: str) -> None:
    """A dense tensor of the one shape that fits the other arguments."""
    if not is_dense(x):
        check_tensor(name, x, f"{expected} {meaning}")
    if list(x.shape) != expected:
        raise ValueError(f"{name} has shape {list(x.shape)}, expected {expected} {meaning}")


def check_countable(name: str, value: Any, *lengths: int) -> None:
    """A result of these lengths, which `value` asks for, has no more bytes than an int64 counts.

    Lengths that a graph leaves open are not asked.
    """
    if torch.compiler.is_compiling() or any(type(length) is not int for length in lengths):
        return
    if math.prod(max(length, 1) for length in lengths) > LARGEST // WIDEST:
        shape = " × ".join(map(str, lengths))
        raise ValueError(f"{name} is {value!r}, for which the result has {shape} values, more than any memory holds")


def check_device(name: str, x: Tensor, other: str, y: Tensor) -> None:
    """Both on one device."""
    if x.device != y.device:
        raise ValueError(f"{name} is on {str(x.device)!r}, expected {str(y.device)!r}, where {other} is")


def check_alike(name: str, x: Tensor, other: str, y: Tensor) -> None:
    """Both on one device and of one dtype."""
    check_device(name, x, other, y)
    if x.dtype != y.dtype:
        raise ValueError(f"{name} is {x.dtype}, expected {y.dtype} as {other} has")
