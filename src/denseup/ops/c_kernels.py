"""What every caller of the C kernels of `denseup.native` does with tensors."""

import torch
from torch import Tensor


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
