"""Maps as they come: of any dtype, layout and values, and what each of them is plainly."""

from collections.abc import Callable
from typing import Any

import torch
from hypothesis import strategies as st
from torch import Tensor

FLOATS = (torch.float32, torch.float64, torch.float16, torch.bfloat16)
VALUES = ("ordinary", "ordinary", "ordinary", "not finite", "huge", "tiny")
HUGE = {torch.float16: 2.0**9}
TINY = {torch.float16: 2.0**-16}
SPOTS = (torch.nan, torch.inf, -torch.inf)


class Marked(Tensor):
    """A subclass that adds nothing."""


def numbers(shape: tuple[int, ...], seed: int) -> Tensor:
    """Float64, none of them 0."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def of_values(x: Tensor, kind: str, dtype: torch.dtype, seed: int) -> Tensor:
    """`x` in a dtype, with values of a kind."""
    x = x * {"huge": HUGE.get(dtype, 1e30), "tiny": TINY.get(dtype, 1e-39)}.get(kind, 1.0)
    x = x.to(dtype)
    if kind == "not finite" and x.numel():
        for k in range(1 + seed % 3):
            x.view(-1)[(seed * 7919 + k * 31) % x.numel()] = SPOTS[(seed + k) % 3]
    return x


def _between_others(x: Tensor) -> Tensor:
    """Inside a larger tensor of NaN."""
    larger = x.new_full([n + 3 for n in x.shape], torch.nan if x.is_floating_point() else 1)
    inside = larger[tuple(slice(1 + k % 2, 1 + k % 2 + n) for k, n in enumerate(x.shape))]
    return inside.copy_(x)


def _every_second(x: Tensor) -> Tensor:
    larger = x.new_full([*x.shape[:-1], 2 * x.shape[-1] + 1], torch.nan if x.is_floating_point() else 1)
    return larger[..., 1::2].copy_(x)


def _transposed(x: Tensor) -> Tensor:
    return x.transpose(-1, -2).contiguous().transpose(-1, -2)


def _turned_about(x: Tensor) -> Tensor:
    return x.permute(*reversed(range(x.dim()))).contiguous().permute(*reversed(range(x.dim())))


def _offset(x: Tensor) -> Tensor:
    """Not where a vector begins."""
    return torch.cat([x.new_zeros(1), x.reshape(-1)])[1:].view(x.shape)


def _negated(x: Tensor) -> Tensor:
    """What is in memory is the negative; a bit says so."""
    return torch._neg_view(-x)


def _last(x: Tensor) -> Tensor:
    return x.contiguous(memory_format=torch.channels_last) if x.dim() == 4 else x


def _expanded(dim: int) -> Callable[[Tensor], Tensor]:
    def expanded(x: Tensor) -> Tensor:
        return x.narrow(dim, 0, 1).expand(x.shape) if x.shape[dim] else x

    return expanded


LAYOUTS: dict[str, Callable[[Tensor], Tensor]] = {
    "NCHW": lambda x: x,
    "channels last": _last,
    "between others": _between_others,
    "channels last between others": lambda x: _turned_about(_between_others(_turned_about(x))),
    "every second": _every_second,
    "transposed": _transposed,
    "turned about": _turned_about,
    "offset": _offset,
    "channels last, offset": lambda x: _offset(x.movedim(1, -1).contiguous()).movedim(-1, 1) if x.dim() == 4 else x,
    "one image expanded": _expanded(0),
    "one channel expanded": _expanded(1),
    "one row expanded": _expanded(-2),
    "one column expanded": _expanded(-1),
    "negated": _negated,
    "a subclass": lambda x: x.as_subclass(Marked),
    "a parameter": lambda x: torch.nn.Parameter(x) if x.is_floating_point() else x,
}
layouts = st.sampled_from(("NCHW", "channels last", *LAYOUTS))
dtypes = st.sampled_from((torch.float32, torch.float32, torch.float32, *FLOATS))
seeds = st.integers(0, 2**16)


@st.composite
def laid(draw: Any, x: Tensor, dtype: torch.dtype | None = None, kind: str = "ordinary") -> Tensor:
    """`x` in some dtype and layout, with or without a gradient."""
    dtype = draw(dtypes) if dtype is None else dtype
    values = of_values(x, kind, dtype, draw(seeds))
    found = LAYOUTS[draw(layouts)](values)
    if draw(st.booleans()):
        return found.requires_grad_()
    return found.detach()


def plain(x: Any) -> Any:
    """A tensor in float64 (complex128), NCHW, with memory of its own, that is nothing but its values."""
    if not isinstance(x, Tensor):
        return x
    x = x.detach().as_subclass(Tensor).to_dense() if x.layout is not torch.strided else x.detach().as_subclass(Tensor)
    if x.device.type == "meta":
        x = torch.zeros(x.shape, dtype=x.dtype)
    to = torch.complex128 if x.is_complex() else torch.float64
    return x.resolve_neg().resolve_conj().to(to).contiguous().clone(memory_format=torch.contiguous_format)
