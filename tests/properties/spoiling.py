"""Arguments that do not fit, or only look as if they did not."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
import torch
from hypothesis import strategies as st
from torch import Tensor


def longer(x: Tensor, dim: int) -> Tensor:
    return torch.cat([x, x.narrow(dim, 0, 1)], dim) if x.shape[dim] else x.new_zeros([max(n, 1) for n in x.shape])


def _to(dtype: torch.dtype) -> Callable[[Tensor], Tensor]:
    return lambda x: x.detach().to(dtype)


def _of_mkl(x: Tensor) -> Tensor:
    """In a layout of that library, which has no more than five dimensions."""
    x = x.detach().as_subclass(Tensor).resolve_neg().float().contiguous()
    return x.to_mkldnn() if x.dim() < 6 else x.to_sparse()


NO_TENSORS: dict[str, Callable[[Tensor], Any]] = {
    "None": lambda x: None,
    "a list": lambda x: x.tolist(),
    "a string": lambda x: "a map",
    "a number": lambda x: 3.0,
    "an array": lambda x: x.detach().float().resolve_neg().as_subclass(Tensor).numpy(),
    "a tuple of maps": lambda x: (x, x),
}
TENSORS: dict[str, Callable[[Tensor], Any]] = {
    "integers": _to(torch.int64),
    "bytes": _to(torch.uint8),
    "booleans": _to(torch.bool),
    "complex": _to(torch.complex64),
    "float8": _to(torch.float8_e4m3fn),
    "half": _to(torch.float16),
    "double": _to(torch.float64),
    "sparse": lambda x: x.detach().as_subclass(Tensor).resolve_neg().to_sparse(),
    "of MKL": _of_mkl,
    "nested": lambda x: torch.nested.nested_tensor(list(x.detach().as_subclass(Tensor))),
    "another device": lambda x: x.detach().to("meta"),
    "a channel more": lambda x: longer(x, 1),
    "a channel less": lambda x: x[:, 1:],
    "no channel": lambda x: x[:, :0],
    "an image more": lambda x: longer(x, 0),
    "no image": lambda x: x[:0],
    "no height": lambda x: x[..., :0, :],
    "no width": lambda x: x[..., :0],
    "a row more": lambda x: longer(x, -2),
    "a column more": lambda x: longer(x, -1),
    "a row less": lambda x: x[..., 1:, :],
    "a column less": lambda x: x[..., 1:],
    "one pixel": lambda x: x[..., :1, :1],
    "a dimension less": lambda x: x[0] if len(x) else x.sum(0),
    "a dimension more": lambda x: x[None],
    "a scalar": lambda x: x.sum(),
}
SPOILED = {**NO_TENSORS, **TENSORS}
WHOLE = (3, 1, 2, np.int64(3), np.uint8(2))
NO_NUMBERS = (None, "3", [3], (3,), 2.5, 3.0, True, np.float64(3), torch.tensor(2.0), np.array([3, 3]), torch.ones(3))
NUMBERS = (*WHOLE, *NO_NUMBERS, 0, -1, 2**31, 2**62 + 1, 2**63, 2**64 + 3, float("nan"), float("inf"), {}, object())
SIZES = (None, 5, "58", (5,), (5, 8, 1), (5, 0), (-1, 5), (5.0, 8), (True, 8), ([5], 8), [5, 8], torch.tensor([5, 8]))
SIZES = (*SIZES, np.array([5, 8]), (2**64 + 5, 8), {5: 8}, (None, 5), ("5", 8), torch.Size((5, 8)))
WORDS = ("", "softmax", "zeros", "border", "nowhere", 3, ["zeros"], b"zeros", np.array(["zeros", "border"]), {}, True)
WORDS = (*WORDS, None, torch.ones(2), "reference", "cpu", "mmcv", "all", "valid")

numbers = st.sampled_from(NUMBERS)
sizes = st.sampled_from(SIZES)
words = st.sampled_from(WORDS)


def must_be_named(what: str) -> bool:
    """Whether the argument itself has to be named: it is no tensor at all."""
    return what in NO_TENSORS


class Spoiled(NamedTuple):
    """Arguments of which one no longer fits: its name, and what became of it."""

    arguments: dict[str, Any]
    name: str
    how: str


def every_way(arguments: Mapping[str, Any]) -> Iterator[Spoiled]:
    """Every map in every way."""
    for name, x in arguments.items():
        if isinstance(x, Tensor):
            for how, spoil in SPOILED.items():
                yield Spoiled({**arguments, name: spoil(x)}, name, how)
