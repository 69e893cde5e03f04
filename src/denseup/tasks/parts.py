"""A batch in parts, and what it takes to try a part again that did not fit into memory."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from denseup.tasks.norms import batch_norms

Batch = dict[str, Any]

WORDS = (
    "out of memory",  # of CUDA and of other accelerators
    "CUDNN_STATUS_ALLOC_FAILED",
    "CUBLAS_STATUS_ALLOC_FAILED",
    "DefaultCPUAllocator: can't allocate memory",
    "DefaultCPUAllocator: not enough memory",
    "std::bad_alloc",
)
"""What errors say that are of too little memory."""


class MemoryExhaustedError(ValueError):
    """Not even the smallest part of a batch fits into memory; the message says what could be smaller."""


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory could not be had: of a device, of the CPU, or Python's."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and any(word in str(error) for word in WORDS)


def length(batch: Batch) -> int:
    """Samples of a batch."""
    return len(batch["image"])


def part_of(batch: Batch, first: int, last: int) -> Batch:
    """The samples `first` … `last` - 1 of a batch: tensors, lists of tensors `[B, …]`, lists of one entry a sample."""
    if (first, last) == (0, length(batch)):
        return batch
    return {name: _part(value, slice(first, last)) for name, value in batch.items()}


def _part(value: Any, which: slice) -> Any:
    if isinstance(value, Tensor):
        return value[which]
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [tensor[which] for tensor in value] if value and isinstance(value[0], Tensor) else value[which]
    return value


class Before:
    """What a forward pass changes though it fails: running statistics, and where the random numbers stand.

    Args:
        network: whose batch norms are meant.
    """

    def __init__(self, network: nn.Module) -> None:
        self.buffers = [buffer for norm in batch_norms(network) if norm.training for buffer in norm.buffers()]
        self.values = [buffer.clone() for buffer in self.buffers]
        self.cpu = torch.get_rng_state()
        self.cuda = torch.cuda.get_rng_state() if torch.cuda.is_initialized() else None

    def restore(self) -> None:
        """As if there had been no forward pass."""
        with torch.no_grad():
            for buffer, value in zip(self.buffers, self.values, strict=True):
                buffer.copy_(value)
        torch.set_rng_state(self.cpu)
        if self.cuda is not None:
            torch.cuda.set_rng_state(self.cuda)


class Held:
    """The gradients that a module has so far, put aside while a backward pass may fail half-way.

    Args:
        module: whose gradients are None from then on, until `add`.
    """

    def __init__(self, module: nn.Module) -> None:
        self.module = module
        self.gradients = {parameter: parameter.grad for parameter in module.parameters()}
        self.clear()

    def clear(self) -> None:
        """Forget what a failed pass has left."""
        self.module.zero_grad()

    def add(self) -> None:
        """Add them to what has come since."""
        for parameter, gradient in self.gradients.items():
            if gradient is not None:
                parameter.grad = gradient if parameter.grad is None else gradient.add_(parameter.grad)


@dataclass
class Step:
    """A batch on its way through the network, part by part.

    Attributes:
        batch: the whole of it.
        opens: whether it is the first of an optimizer step.
        whole: what the parts of all processes weigh, by process; None where the batch is one process's alone.
        start, end: where the part at hand begins and ends; all before `start` have left their gradients.
        total: sum of their losses, each by its share.
        before: what to go back to if the part at hand fails; None where it can't be tried again.
        last: the loss of the last part, whose gradients are still to come.
        told: what Lightning has been given in its place.
    """

    batch: Batch
    opens: bool = True
    whole: Tensor | None = None
    start: int = 0
    end: int = 0
    total: Tensor | float = 0.0
    before: Before | None = None
    last: Tensor | None = None
    told: Tensor | None = None

    @property
    def size(self) -> int:
        """Samples of the batch."""
        return length(self.batch)
