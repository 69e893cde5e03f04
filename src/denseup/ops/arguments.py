"""What every operator asks of its arguments. An error names the argument, what came and what is valid."""

import operator
from typing import Any

import torch
from torch import Tensor

from denseup.ops.geometry import Size, size_of


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


def check_window(kernel_size: int, groups: int, features: Tensor, name: str) -> None:
    """A K×K window, and groups that divide the channels of `name`."""
    check_map(name, features)
    if kernel_size < 1 or kernel_size % 2 == 0:
        raise ValueError(f"kernel_size is {kernel_size}, expected an odd number ≥ 1")
    check_groups(groups, features.shape[1], name)


def check_kernels(de: Tensor, kernels: Tensor, kernel_size: int, groups: int, name: str, de_name: str = "de") -> None:
    """Kernels `[B, G·K², H, W]` of a map `[B, C, h, w]` no larger than they are."""
    check_window(kernel_size, groups, de, de_name)
    if kernels.dim() != 4 or kernels.shape[0] != de.shape[0] or kernels.shape[1] != groups * kernel_size**2:
        expected = f"[{de.shape[0]}, {groups * kernel_size**2}, H, W] (batch, groups·kernel_size², height, width)"
        raise ValueError(f"{name} has shape {list(kernels.shape)}, expected {expected}")
    check_map(name, kernels, "[B, G·K², H, W]")
    check_device(name, kernels, de_name, de)
    check_sizes(de, kernels, de_name, name)


def check_query(query: Tensor, key: Tensor, kernel_size: int, groups: int) -> None:
    """A query `[B, C, H, W]` and a key `[B, C, h, w]` no larger than it."""
    check_window(kernel_size, groups, key, "key")
    if query.dim() != 4 or query.shape[:2] != key.shape[:2]:
        raise ValueError(f"query has shape {list(query.shape)}, expected {[*key.shape[:2]]} + [H, W] as in key")
    check_map("query", query, "[B, C, H, W]")
    check_device("query", query, "key", key)
    check_sizes(key, query, "key", "query")


def check_gate(de: Tensor, logits: Tensor, en: Tensor | None, gate: Tensor | None) -> None:
    """An encoder feature `[B, C, H, W]` and a gate `[B, 1, h, w]` that fit `de` and `logits`, or neither."""
    if en is None and gate is None:
        return
    if en is None or gate is None:
        missing, given = ("en", "gate") if en is None else ("gate", "en")
        raise ValueError(f"{missing} is None, but {given} is given: expected both or neither")
    check_shape("en", en, [*de.shape[:2], *logits.shape[2:]], "as de and logits have")
    check_shape("gate", gate, [de.shape[0], 1, *de.shape[2:]], "as de has")
    for name, x in (("en", en), ("gate", gate)):
        check_map(name, x)
        check_device(name, x, "de", de)


def check_adjoint(grad: Tensor, kernels: Tensor, kernel_size: int, groups: int, size: Size) -> None:
    """A gradient `[B, C, H, W]`, its kernels `[B, G·K², H, W]`, and a size no larger."""
    check_window(kernel_size, groups, grad, "grad")
    check_shape("kernels", kernels, [grad.shape[0], groups * kernel_size**2, *grad.shape[2:]], "as grad has")
    check_map("kernels", kernels)
    check_device("kernels", kernels, "grad", grad)
    for name, length, most in zip(("height", "width"), size, grad.shape[2:], strict=True):
        if not 1 <= length <= most:
            raise ValueError(f"{name} is {length}, expected 1 to {most}, that of grad")


def check_fused(
    de: Tensor, logits: Tensor, en: Tensor | None, gate: Tensor | None, kernel_size: int, groups: int
) -> None:
    """Arguments of softmax, reassembly and gate in one."""
    check_kernels(de, logits, kernel_size, groups, "logits")
    check_gate(de, logits, en, gate)
    if en is not None:
        check_alike("en", en, "de", de)


def check_fused_backward(
    grad: Tensor, de: Tensor, logits: Tensor, en: Tensor | None, gate: Tensor | None, kernel_size: int, groups: int
) -> None:
    """The same, and the gradient of the result `[B, C, H, W]`."""
    check_fused(de, logits, en, gate, kernel_size, groups)
    check_shape("grad", grad, [*de.shape[:2], *logits.shape[2:]], "as de and logits have")
    check_alike("grad", grad, "de", de)


def check_downsampling(
    features: Tensor, kernels: Tensor, kernel_size: int, scale_factor: int, groups: int, whole: bool = False
) -> None:
    """A map `[B, C, H, W]` and kernels of its size divided, rounding up; of its first pixels alone, if not `whole`."""
    check_map("features", features, "[B, C, H, W]")
    _check_numbers(features.shape[1], kernel_size, scale_factor, groups, "features")
    batch, _, height, width = features.shape
    expected = [batch, groups * kernel_size**2, -(-height // scale_factor), -(-width // scale_factor)]
    came = expected if whole else [*expected[:2], *kernels.shape[2:]]
    check_shape("kernels", kernels, came, "(batch, groups·kernel_size², ⌈H/scale_factor⌉, ⌈W/scale_factor⌉)")
    check_map("kernels", kernels)
    check_device("kernels", kernels, "features", features)
    _check_low("kernels", kernels, (height, width), scale_factor)


def check_downsampling_adjoint(
    grad: Tensor, kernels: Tensor, kernel_size: int, scale_factor: int, groups: int, height: int, width: int
) -> None:
    """A gradient `[B, C, h, w]`, its kernels, and the size of the map."""
    check_map("grad", grad)
    _check_numbers(grad.shape[1], kernel_size, scale_factor, groups, "grad")
    check_shape("kernels", kernels, [grad.shape[0], groups * kernel_size**2, *grad.shape[2:]], "as grad has")
    check_map("kernels", kernels)
    check_device("kernels", kernels, "grad", grad)
    _check_low("grad", grad, (height, width), scale_factor)


def check_downsampling_similarity(
    grad: Tensor, features: Tensor, kernel_size: int, scale_factor: int, groups: int
) -> None:
    """A gradient `[B, C, h, w]` and the map `[B, C, H, W]`."""
    check_map("grad", grad)
    check_map("features", features, "[B, C, H, W]")
    _check_numbers(grad.shape[1], kernel_size, scale_factor, groups, "grad")
    check_shape("features", features, [*grad.shape[:2], *features.shape[2:]], "as grad has")
    check_alike("features", features, "grad", grad)
    _check_low("grad", grad, size_of(features), scale_factor)


def _check_numbers(channels: int, kernel_size: int, scale_factor: int, groups: int, name: str) -> None:
    for argument, value in (("kernel_size", kernel_size), ("scale_factor", scale_factor)):
        if value < 1:
            raise ValueError(f"{argument} is {value}, expected a whole number ≥ 1")
    check_groups(groups, channels, name)


def _check_low(name: str, low: Tensor, size: Size, scale_factor: int) -> None:
    most = tuple(-(-length // scale_factor) for length in size)
    if low.shape[2] > most[0] or low.shape[3] > most[1]:
        raise ValueError(
            f"{name} is {size_of(low)} in size, expected at most {most}, that of {tuple(size)} downsampled"
        )


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


def check_sizes(low: Tensor, high: Tensor, low_name: str, high_name: str) -> None:
    """`high` is no smaller than `low`."""
    if high.shape[2] < low.shape[2] or high.shape[3] < low.shape[3]:
        sizes = f"{high_name} is {tuple(high.shape[2:])}, {low_name} is {tuple(low.shape[2:])}"
        raise ValueError(f"{sizes}: {high_name} must be at least as large as {low_name}; were the two swapped?")
