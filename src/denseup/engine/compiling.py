"""`trainer.compile`: the network's training steps by torch.compile; checkpoints are those of any other run.

Crops have one size, so that one graph serves the whole training. Whole images, each of its own size, are evaluated by
plain code: nothing is ever compiled for one of them.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch

from denseup.tasks import DenseTask

COMPILE = "compile"
"""The trainer's option that Lightning's trainer does not have: true, false, or the name of a back end."""


@contextmanager
def compiled(task: DenseTask, wanted: bool | str, **options: Any) -> Iterator[None]:
    """Within it the task's network is compiled where it trains; the module and the keys of its weights stay the same.

    Args:
        task: whose network is meant.
        wanted: whether it is, or by which back end of `torch.compile`.
        options: of `torch.compile`.

    Raises:
        ValueError: there is no such back end.
    """
    if not wanted:
        yield
        return
    if isinstance(wanted, str):
        known = torch.compiler.list_backends(None)
        if wanted not in known:
            raise ValueError(f"trainer.compile is {wanted!r}, expected true, false or one of {', '.join(known)}")
        options["backend"] = wanted
    network = task.network

    def run(*inputs: Any) -> Any:  # a function, for a module would become a part of the task
        return network(*inputs)

    with task.training_by(torch.compile(run, **options)):
        yield


def without_compile(options: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of Lightning's trainer among a run's."""
    return {name: value for name, value in options.items() if name != COMPILE}
