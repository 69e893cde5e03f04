"""Work on many files by several processes, in order."""

import os
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

from torch.utils.data import DataLoader, Dataset

from denseup.faults import naming_dead_workers

Item = TypeVar("Item")
Result = TypeVar("Result")


def all_cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def worked(work: Callable[[Item], Result], items: Sequence[Item], workers: int) -> Iterator[Result]:
    """What `work` makes of each item, in the order of the items; with `workers=0` in this process.

    Raises:
        WorkerDiedError: one of the processes is gone.
    """
    workers = min(workers, len(items))
    loader: DataLoader[Any] = DataLoader(_Work(work, items), batch_size=None, num_workers=workers, collate_fn=_as_it_is)
    with naming_dead_workers():
        yield from loader


class _Work(Dataset):
    def __init__(self, work: Callable[[Any], Any], items: Sequence[Any]) -> None:
        self.work, self.items = work, items

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int) -> Any:
        if not 0 <= index < len(self.items):
            raise IndexError(index)
        return self.work(self.items[index])


def _as_it_is(result: Any) -> Any:
    return result
