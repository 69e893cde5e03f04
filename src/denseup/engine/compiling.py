"""`trainer.compile`: the network by torch.compile; checkpoints are those of any other run."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from torch import nn

COMPILE = "compile"
"""The trainer's option that Lightning's trainer does not have."""


@contextmanager
def compiled(network: nn.Module, wanted: bool, **options: Any) -> Iterator[None]:
    """Within it the network's calls are compiled, if that is wanted: for any size, so that a validation of whole images
    needs a few graphs, and not one for each size (`tests/engine/test_compiling.py`).

    The module stays the same, and so do the keys of its weights; copies of it are not compiled.

    Args:
        network: compiled in place.
        wanted: whether it is.
        options: of `torch.compile`, such as `backend`.
    """
    if not wanted:
        yield
        return
    network.compile(dynamic=True, **options)
    try:
        yield
    finally:
        network._compiled_call_impl = None


def without_compile(options: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of Lightning's trainer among a run's."""
    return {name: value for name, value in options.items() if name != COMPILE}
