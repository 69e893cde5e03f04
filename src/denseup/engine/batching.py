"""The batch of an optimizer step, shared by processes, each of which runs its share in parts that fit into memory."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytorch_lightning as pl
from pytorch_lightning.strategies.launchers import _MultiProcessingLauncher

from denseup.data.datamodules import DenseData
from denseup.tasks import DenseTask


@contextmanager
def batches_of(effective: int | None, task: DenseTask, data: DenseData, trainer: pl.Trainer) -> Iterator[None]:
    """Within it a step takes `effective` samples, `data.batch_size` of them at once in each process.

    Steps, schedules and evaluations count optimizer steps as ever: the data module gives a process its whole share of
    one, and the task splits it. None: `data.batch_size` samples of each process.

    Raises:
        ValueError: processes or parts that do not divide the number of samples.
    """
    if effective is None:
        yield
        return
    part, share = data.batch_size, share_of_process(effective, data.batch_size, trainer)
    data.batch_size, task.micro_batch = share, part
    try:
        yield
    finally:
        data.batch_size, task.micro_batch = part, None


def share_of_process(effective: int, batch_size: int, trainer: pl.Trainer) -> int:
    """Samples that one of the trainer's processes takes in a step; errors as in `batches_of`."""
    name, world = f"recipe.effective_batch_size is {effective}", trainer.world_size
    if trainer.accumulate_grad_batches != 1:
        raise ValueError(
            f"trainer.accumulate_grad_batches is {trainer.accumulate_grad_batches}, expected 1: {name}, and "
            "data.batch_size says in how many parts it is taken"
        )
    if effective % world:
        raise ValueError(f"{name}, which {world} processes can't share; expected {_one_of(effective)} of them")
    share = effective // world
    if share % batch_size:
        of = f"{name}, {share} in each of {world} processes" if world > 1 else name
        raise ValueError(f"data.batch_size is {batch_size}, which does not divide it ({of}); expected {_one_of(share)}")
    return share


def check_processes(trainer: pl.Trainer) -> None:
    """ValueError for processes that are copies of this one: what they measure would stay with them."""
    if isinstance(trainer.strategy.launcher, _MultiProcessingLauncher):
        raise ValueError(
            "trainer.strategy is one that spawns or forks its processes, which keep the run's metrics to themselves; "
            "expected ddp or ddp_find_unused_parameters_true (trainer=ddp), or auto"
        )


def check_norms(trainer: pl.Trainer) -> None:
    """ValueError where statistics of batch norms are to be synchronised and torch can't: on a CPU."""
    together = trainer.world_size > 1 and getattr(trainer.strategy, "_layer_sync", None) is not None
    if together and trainer.strategy.root_device.type == "cpu":
        raise ValueError(
            "trainer.sync_batchnorm is True, but torch synchronises batch norms on GPUs only; expected false with "
            "trainer.accelerator=cpu"
        )


def _one_of(number: int) -> str:
    """The divisors of a number, in words."""
    divisors = [str(i) for i in range(1, number + 1) if number % i == 0]
    return divisors[0] if len(divisors) == 1 else f"{', '.join(divisors[:-1])} or {divisors[-1]}"
