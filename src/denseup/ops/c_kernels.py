"""What every caller of the C kernels of `denseup.native` does with tensors."""

import ctypes
from collections.abc import Sequence
from functools import cache
from typing import Any

import torch
from torch import Tensor

from denseup import native
from denseup.ops import transforms
from denseup.ops.geometry import layout

MISSING = native.why_missing()
"""Why there are no C kernels; None if they are there. Asked once: torch.compile cannot look into the search."""


def machine_reasons(*tensors: Tensor) -> list[str]:
    """Why kernels for float32 on the CPU cannot take these tensors."""
    found = []
    for x in tensors:
        if not x.is_cpu:
            found.append(f"tensors are on {x.device.type!r}, not on 'cpu'")
        if x.dtype is not torch.float32:
            found.append(f"dtype is {x.dtype}, it has float32")
    return list(dict.fromkeys(found)) if found else found


def floats(shape: Sequence[int], memory_format: torch.memory_format = torch.contiguous_format) -> Tensor:
    """Memory for what a kernel writes: float32 on the CPU, whatever torch's default dtype and device are."""
    return torch.empty(tuple(shape), dtype=torch.float32, device="cpu", memory_format=memory_format)


class _Shape(ctypes.Structure):
    """`geometry` of turning.h."""

    _fields_ = [
        ("images", ctypes.c_long),
        ("rows", ctypes.c_long),
        ("columns", ctypes.c_long),
        ("threads", ctypes.c_int),
    ]


def in_layout(x: Tensor, to: torch.memory_format) -> Tensor:
    """`x` `[B, C, H, W]` in a memory format and without gaps; a copy where it is not, which autograd doesn't see.

    torch copies element by element; the kernel (`native/turning`) by whole cache lines, about ten times as fast.
    """
    if x.is_contiguous(memory_format=to):
        return x
    last = to is torch.channels_last
    other_layout = x.is_contiguous(memory_format=torch.contiguous_format if last else torch.channels_last)
    if MISSING or not other_layout or not x.is_cpu or x.dtype is not torch.float32 or not x.numel():
        return x.contiguous(memory_format=to)
    if type(x) not in (torch.Tensor, torch.nn.Parameter) or transforms.modes_look_on():  # whose values may be elsewhere
        return x.contiguous(memory_format=to)
    batch, channels, height, width = x.shape
    sides = (channels, height * width) if last else (height * width, channels)
    out = floats(x.shape, to)
    meant = x.resolve_neg()  # by operators it is already; layouts are turned for whoever asks
    _turning()(_Shape(batch, *sides, native.threads()), meant.data_ptr(), out.data_ptr())
    return out


def dense(x: Tensor) -> Tensor:
    """`x` channels-last and without gaps, as the kernels read and write maps; a copy where it is not."""
    return in_layout(x, torch.channels_last)


def like_layout(x: Tensor, other: Tensor) -> Tensor:
    """`geometry.like_layout`, by the kernel where it can."""
    return in_layout(x, layout(other))


def pointer(x: Tensor | None) -> int | None:
    """Where the data of `x` begin; None, which is NULL, for None."""
    return None if x is None else x.data_ptr()


def check(status: int) -> None:
    """MemoryError for what a kernel returns when it gets no memory to work in."""
    if status:
        raise MemoryError("no memory for what the threads of a C kernel work on")


@cache
def _turning() -> Any:
    """The function, with the types of the arguments declared."""
    library = native.library()
    assert library is not None
    library.denseup_turn.argtypes = [ctypes.POINTER(_Shape), ctypes.c_void_p, ctypes.c_void_p]
    library.denseup_turn.restype = None
    return library.denseup_turn
