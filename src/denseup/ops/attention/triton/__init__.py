"""Triton back end: forward and gradients, for float32, float16 and bfloat16, with float32 sums and softmax.

The kernels are in `kernels.py`. Weights are never stored: backward keeps three numbers of each output pixel and head.
Without a GPU they run in Triton's interpreter, as those of reassembly do.
"""

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor

from denseup.ops.geometry import size_of, window_start
from denseup.ops.reassembly.triton import DTYPES, machine_reasons
from denseup.ops.reassembly.triton.launching import ceil_div, empty_map, power_of_two

NAME = "triton"
MAX_CHANNELS = 512
"""Of a head: all of them are in a program's registers."""
TILE = 4096
"""Elements of a tile, channels of a head times pixels."""


def unsupported_reasons(query: Tensor, kernel_size: int, heads: int) -> list[str]:
    """Why this back end cannot serve a call."""
    found = machine_reasons(query)
    if query.dtype not in DTYPES:
        found.append(f"dtype is {query.dtype}, it has float32, float16 and bfloat16")
    if query.shape[1] // heads > MAX_CHANNELS:
        found.append(f"there are {query.shape[1] // heads} channels to a head, it has up to {MAX_CHANNELS}")
    return found


def attention(query: Tensor, key: Tensor, value: Tensor, kernel_size: int, heads: int, scale: float) -> Tensor:
    """`[B, D, H, W]`, `[B, D, h, w]`, `[B, C, h, w]` → `[B, C, H, W]`."""
    out = empty_map(query, value.shape[1], size_of(query), query.dtype)
    constants = _constants(query, value, heads)
    blocks = ceil_div(query.shape[3], constants["PIXELS"])
    _launch(
        "attention_kernel",
        query.shape[0] * heads * query.shape[2] * blocks,
        (
            *(query, key, value, out, *_starts(query, key, kernel_size), heads),
            *(query.shape[1] // heads, value.shape[1] // heads, *size_of(query), *_sides(key, kernel_size), scale),
            *(*query.stride(), *key.stride(), *value.stride(), *out.stride(), blocks),
        ),
        constants,
    )
    return out.to(query.dtype)


def attention_backward(
    grad: Tensor, query: Tensor, key: Tensor, value: Tensor, kernel_size: int, heads: int, scale: float
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients of `attention` in query, key and value."""
    of_query, of_key, of_value = (empty_map(x, x.shape[1], size_of(x), x.dtype) for x in (query, key, value))
    softmax = torch.empty(3, query.shape[0], heads, *size_of(query), dtype=torch.float32, device=query.device)
    constants = _constants(query, value, heads)
    blocks = ceil_div(query.shape[3], constants["PIXELS"])
    channels = (query.shape[1] // heads, value.shape[1] // heads)
    starts, sides = _starts(query, key, kernel_size), _sides(key, kernel_size)
    strides = (*grad.stride(), *query.stride(), *key.stride(), *value.stride())
    _launch(
        "query_backward_kernel",
        query.shape[0] * heads * query.shape[2] * blocks,
        (
            *(grad, query, key, value, of_query, softmax, *starts, query.shape[0], heads, *channels),
            *(*size_of(query), *sides, scale, *strides, *of_query.stride(), blocks),
        ),
        constants,
    )
    ranges = []
    for start, length, side in zip(starts, size_of(key), sides, strict=True):
        index = torch.arange(length, device=query.device)
        ranges += [torch.searchsorted(start, index - side + 1), torch.searchsorted(start, index, right=True)]
    _launch(
        "key_backward_kernel",
        key.shape[0] * heads * key.shape[2] * key.shape[3],
        (
            *(grad, query, key, value, of_key, of_value, softmax, *ranges, query.shape[0], heads, *channels),
            *(*size_of(key), *size_of(query), scale, *strides, *of_key.stride(), *of_value.stride()),
        ),
        constants,
    )
    return of_query.to(query.dtype), of_key.to(key.dtype), of_value.to(value.dtype)


def _starts(query: Tensor, key: Tensor, kernel_size: int) -> list[Tensor]:
    """First rows `[H]` and columns `[W]` of the windows."""
    lengths = zip(size_of(key), size_of(query), strict=True)
    return [window_start(low, high, kernel_size, query.device) for low, high in lengths]


def _sides(key: Tensor, kernel_size: int) -> tuple[int, int]:
    return min(kernel_size, key.shape[2]), min(kernel_size, key.shape[3])


def _constants(query: Tensor, value: Tensor, heads: int) -> dict[str, int]:
    channels, of_value = power_of_two(query.shape[1] // heads), power_of_two(value.shape[1] // heads)
    pixels = max(1, min(TILE // max(channels, of_value), 64, power_of_two(query.shape[3])))
    return {"PIXELS": pixels, "CHANNELS": channels, "VALUE_CHANNELS": of_value}


def _launch(name: str, programs: int, arguments: tuple[Any, ...], constants: dict[str, int]) -> None:
    """Run a kernel of `kernels.py` on the device of its first argument."""
    from denseup.ops.attention.triton import kernels  # imports triton

    x = arguments[0]
    on_its_device: AbstractContextManager[Any] = torch.cuda.device(x.device) if x.is_cuda else nullcontext()
    with on_its_device:
        getattr(kernels, name)[(programs,)](*arguments, **constants, num_warps=4)
