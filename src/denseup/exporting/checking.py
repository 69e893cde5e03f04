"""Whether a file gives what the network gives, at sizes that it was not traced at, and how fast it is."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from denseup.exporting.program import Size, example_inputs
from denseup.profiling.measuring import Timing, time_side_by_side
from denseup.tasks import DenseTask


class MismatchError(ValueError):
    """A file does not give what the network gives."""


@dataclass(frozen=True)
class Compared:
    """One size at which a file was compared with the network.

    Args:
        size: batch, height, width.
        error: largest difference, relative to `largest` where that is above 1.
        largest: magnitude of what the network gives.
    """

    size: Size
    error: float
    largest: float


@torch.no_grad()
def compare(task: DenseTask, call: Callable[..., Tensor], sizes: Sequence[Size], tolerance: float) -> list[Compared]:
    """A file beside the network in plain torch, at each size.

    Raises:
        MismatchError: the file fails, gives another shape, or differs by more than `tolerance` at one of them.
    """
    found = [_compared(task, call, size) for size in sizes]
    if worst := [one for one in found if not one.error <= tolerance]:
        told = ", ".join(f"{one.error:.1e} at {shown(one.size)}" for one in worst)
        raise MismatchError(
            f"the file differs from the network by {told}; at most {tolerance:g} is allowed (tolerance)"
        )
    return found


def latency(task: DenseTask, call: Callable[..., Tensor], size: Size, repeats: int) -> Mapping[str, Timing]:
    """Seconds of a call at a size, side by side: "eager", the network as denseup runs it, and "file"."""
    inputs = example_inputs(task, size)
    with torch.no_grad():
        calls = {"eager": lambda: task.serve(*inputs), "file": lambda: call(*inputs)}
        return time_side_by_side(calls, repeats=repeats, warmup=2)


def shown(size: Size) -> str:
    """ "2 × 67 × 93"."""
    return " × ".join(map(str, size))


def _compared(task: DenseTask, call: Callable[..., Tensor], size: Size) -> Compared:
    inputs = example_inputs(task, size)
    expected = task.serve(*inputs)
    try:
        came = call(*inputs)
    except Exception as error:
        raise MismatchError(f"the file fails at {shown(size)}: {type(error).__name__}: {error}") from error
    if came.shape != expected.shape:
        raise MismatchError(f"at {shown(size)} the file gives {list(came.shape)}, the network {list(expected.shape)}")
    largest = float(expected.abs().max())
    return Compared(size, float((came - expected).abs().max()) / max(largest, 1.0), largest)
