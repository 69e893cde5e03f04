"""Whether the same call has to give the same bits again, where a GPU would add in any order.

Some gradients of torch have no other kernel than one of atomic additions: of `grid_sample`, of adaptive pooling, of
padding by reflection, of bicubic interpolation. Where `torch.use_deterministic_algorithms(True)` refuses these, our
operators take another way to the same numbers, a slower one; those that have none are told before a run begins
(`denseup.upsamplers.repeating`).
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

_everywhere = False


def must_repeat(x: Tensor) -> bool:
    """Whether what is done with `x` has to: not on a CPU, which adds in one order, nor where torch only warns."""
    if _everywhere:
        return True
    if x.device.type == "cpu" or not torch.are_deterministic_algorithms_enabled():
        return False
    return not torch.is_deterministic_algorithms_warn_only_enabled()


@contextmanager
def as_on_a_gpu() -> Iterator[None]:
    """Within it operators go the way on any device that they go on a GPU where results have to repeat."""
    global _everywhere
    before, _everywhere = _everywhere, True
    try:
        yield
    finally:
        _everywhere = before
