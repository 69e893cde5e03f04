"""Numbers that are not finite: found where they arise, before rounding, argmax or a checkpoint can hide them."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import chain
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.utils import get_total_norm

from denseup.tasks.nested import tensors_in

Batch = dict[str, Any]


class DivergedError(ValueError):
    """A loss, gradient, weight or prediction that is not finite; the message names where and in which samples."""


def check_weights(module: nn.Module) -> None:
    """DivergedError that names the first parameter or buffer of a module, in its order, that is not finite."""
    broken = _first_broken(chain(module.named_parameters(), module.named_buffers()))
    if broken:
        raise DivergedError(f"the weights are not finite, first {broken}")


def _first_broken(tensors: Iterable[tuple[str, Tensor]]) -> str | None:
    return next((f"{name}: {_extent(tensor)}" for name, tensor in tensors if not _finite(tensor)), None)


def _finite(tensor: Tensor) -> bool:
    return not tensor.is_floating_point() or bool(tensor.isfinite().all())


def gradient_norm(module: nn.Module) -> Tensor:
    """Euclidean norm of all gradients, at least in float32.

    It overflows where a square does, hence where Adam's second moment would: weights that finite gradients freeze.
    """
    gradients = [p.grad for p in module.parameters() if p.grad is not None]
    return get_total_norm([g if g.dtype.itemsize > 2 else g.float() for g in gradients])


def describe(module: nn.Module, batch: Batch, run: Callable[[], Any]) -> str:
    """The samples of a batch, and what is not finite on the way through a module: weights, inputs, outputs, gradients.

    Args:
        module: whose parts are named.
        batch: its "name" holds the samples' names.
        run: runs the module once more on the batch.
    """
    found = [_samples(batch)]
    # Running statistics do not count: those of the batch at hand are in them already.
    if weight := _first_broken(module.named_parameters()):
        found.append(f"first non-finite weight: {weight}")
    if output := first_output(module, run):
        found.append(f"first module with a non-finite output: {output}")
    # Backward goes from the end, so that the last parameter has the first gradient.
    elif names := [name for name, p in module.named_parameters() if p.grad is not None and not _finite(p.grad)]:
        found.append(f"every module's output is finite, the gradient first fails at {names[-1]}")
    return "; ".join(found)


def first_output(module: nn.Module, run: Callable[[], Any]) -> str | None:
    """The first part of a module, innermost first, that puts out something not finite while `run` runs it."""
    found: list[str] = []
    with torch.no_grad(), _watching(module, found):
        run()
    return found[0] if found else None


def first_of_processes(own: str, guilty: bool) -> str:
    """Of the processes that train together, the description of the first guilty one; all of them have to call this."""
    if not (dist.is_available() and dist.is_initialized()):
        return own
    everyone: list[tuple[bool, str]] = [(guilty, own)] * dist.get_world_size()
    dist.all_gather_object(everyone, (guilty, own))
    return next((text for blamed, text in everyone if blamed), own)


@contextmanager
def _watching(module: nn.Module, found: list[str]) -> Iterator[None]:
    def watch(name: str) -> Callable[[nn.Module, Any, Any], None]:
        def look(part: nn.Module, inputs: Any, output: Any) -> None:
            bad = [tensor for tensor in tensors_in(output) if not _finite(tensor)]
            if bad and not found:
                found.append(f"{name} ({type(part).__name__}): {_extent(bad[0])}")

        return look

    handles = [part.register_forward_hook(watch(name)) for name, part in module.named_modules() if name]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _samples(batch: Batch) -> str:
    """The batch's samples by name, and those among them whose inputs are broken already."""
    names = [str(name) for name in batch.get("name", ())]
    text = f"samples: {', '.join(names) or 'without names'}"
    for key, value in batch.items():
        if isinstance(value, Tensor) and not _finite(value):
            broken = [i for i, sample in enumerate(value) if not _finite(sample)]
            text += f"; {key} is not finite in {', '.join(names[i] if names else f'sample {i}' for i in broken)}"
    return text


def _extent(tensor: Tensor) -> str:
    number = int((~tensor.isfinite()).sum())
    kind = "NaN" if tensor.isnan().any() else "infinite"
    return f"{kind}, {number} of {tensor.numel()} values"
