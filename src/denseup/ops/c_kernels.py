"""What every caller of the C kernels of `denseup.native` does with tensors."""

import torch
from torch import Tensor

from denseup import native

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


def dense(x: Tensor) -> Tensor:
    """`x` channels-last and without gaps, as the kernels read and write maps; a copy where it is not."""
    return x.contiguous(memory_format=torch.channels_last)


def pointer(x: Tensor | None) -> int | None:
    """Where the data of `x` begin; None, which is NULL, for None."""
    return None if x is None else x.data_ptr()


def check(status: int) -> None:
    """MemoryError for what a kernel returns when it gets no memory to work in."""
    if status:
        raise MemoryError("no memory for what the threads of a C kernel work on")
