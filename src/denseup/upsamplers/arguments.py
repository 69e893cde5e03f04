"""What the contract asks of the arguments of a call. An error names operator, argument, what came and what is valid."""

from typing import Any

import torch
from torch import Tensor

from denseup.ops.arguments import FLOATS, check_floats, check_tensor, is_dense, is_whole, odd_number, whole_number
from denseup.ops.geometry import Size

MOST = 2**24
"""Of channels, a window's side, a factor, …: beyond it torch can't count the weights, let alone a memory hold them."""


def whole_option(name: str, value: Any) -> int:
    """An option as an int from 1 to `MOST`; ValueError if it is none."""
    return whole_number(name, value, at_most=MOST)


def odd_option(name: str, value: Any) -> int:
    """An option as an odd int from 1 to `MOST`; ValueError if it is none."""
    return odd_number(name, value, at_most=MOST)


def two_whole_numbers(operator: str, size: Size) -> Size:
    """`output_size` as it is to be: (height, width); ValueError if it is not two whole numbers."""
    if not isinstance(size, (tuple, list)) or len(size) != 2 or not all(is_whole(n) for n in size):
        raise ValueError(f"{operator}: output_size is {size!r}, expected (height, width), two whole numbers")
    height, width = (n if isinstance(n, (int, torch.SymInt)) else whole_number("output_size", n) for n in size)
    return height, width


def check_divides(name: str, parts: int, de_channels: int) -> None:
    """`parts` divides the channels of the decoder feature; ValueError if not."""
    if de_channels % parts:
        raise ValueError(f"{name} is {parts}, expected a divisor of de_channels, {de_channels}")


def check_state(operator: str, state: Any, kind: type, de: Tensor, size: Size) -> None:
    """A state belongs to one encoder feature; ValueError if it is none, or not of as many images, or of another size.

    Args:
        kind: what `downsample` returns: a tensor `[B, C, H, W]`, or a named tuple whose first entry is one.
    """
    advice = "pass the state that downsample(en) returned"
    if not isinstance(state, kind):
        raise ValueError(f"{operator}: state is of type {type(state).__name__}, expected {kind.__name__}: {advice}")
    first: Any = state[0] if isinstance(state, tuple) else state
    if not is_dense(first) or first.dim() != 4 or first.shape[0] != de.shape[0]:
        came = list(first.shape) if is_dense(first) else f"{type(first).__name__}, no dense one"
        raise ValueError(f"{operator}: state holds {came}, expected [{de.shape[0]}, C, H, W]: {advice}")
    state_size = (first.shape[2], first.shape[3])
    if state_size != tuple(size):
        raise ValueError(
            f"{operator}: state is of an encoder feature {state_size} in size, but en is {tuple(size)}; {advice}"
        )


def check_pair(operator: str, name: str, guide: Tensor, de: Tensor) -> None:
    """A guide has as many images as `de` and lies on its device; ValueError if not."""
    if guide.shape[0] != de.shape[0]:
        raise ValueError(f"{operator}: {name} has {guide.shape[0]} images, de has {de.shape[0]}: expected as many")
    check_same(operator, "device", name, guide, "de", de)


def check_image(operator: str, image: Tensor | None, de: Tensor, size: Size) -> Tensor:
    """The image that an operator needs; ValueError if it is missing or does not fit."""
    if image is None:
        raise ValueError(f"{operator} is guided by the image: it needs image, [B, C, H, W] with H, W ≥ {size}")
    check_map(operator, "image", image, None)
    if image.shape[2] < size[0] or image.shape[3] < size[1]:
        raise ValueError(
            f"{operator}: image is {tuple(image.shape[2:])} in size, expected at least the output's, {size}"
        )
    check_pair(operator, "image", image, de)
    return image


def check_same(operator: str, what: str, name: str, x: Tensor, other: str, y: Tensor) -> None:
    """Device or dtype (`what`) of `x` is that of `y`; ValueError if not."""
    came, valid = getattr(x, what), getattr(y, what)
    if came != valid:
        raise ValueError(f"{operator}: the {what} of {name} is {came}, expected {valid}, that of {other}")


def check_map(operator: str, name: str, value: Tensor, channels: int | None, floats: bool = True) -> None:
    """A map `[B, channels, H, W]`, of any channels where None, with H and W ≥ 1; ValueError if it is none.

    With `floats` it has to be of floating point: without, nothing but its size is looked at.
    """
    if not is_dense(value) or value.dim() != 4 or value.shape[1] != (channels or value.shape[1]):
        _refuse(operator, name, value, channels)
    if value.shape[2] == 0 or value.shape[3] == 0:
        expected = f"a tensor [B, {channels or 'C'}, H, W] with H and W ≥ 1"
        raise ValueError(f"{operator}: {name} is {list(value.shape)}, expected {expected}")
    if floats and value.dtype not in FLOATS:
        check_floats(f"{operator}: {name}", value, 4, f"[B, {channels or 'C'}, H, W]")


def _refuse(operator: str, name: str, value: Any, channels: int | None) -> None:
    expected = f"[B, {channels or 'C'}, H, W]"
    if torch.is_tensor(value):
        check_tensor(f"{operator}: {name}", value, expected)
    came = list(value.shape) if torch.is_tensor(value) else type(value).__name__
    raise ValueError(f"{operator}: {name} is {came}, expected a tensor {expected}; the order is (de, en)")
