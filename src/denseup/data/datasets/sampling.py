"""Which samples an epoch has, and the random stream of each of them.

A training sample is named by (epoch, index), and each of its steps draws from a stream of its own, seeded by (seed,
epoch, index, step): it is the same whatever the number of workers and processes, and after a resume. A data set of
one's own that draws from the random numbers of torch, NumPy or Python themselves has them by sample too.
"""

import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from torch.utils.data import Dataset, DistributedSampler

from denseup.data.transforms.streams import Streams

TrainIndex = tuple[int, int]
Sample = dict[str, Any]


def train_streams(seed: int, item: TrainIndex) -> Streams:
    """The random streams of one training sample; `item` is (epoch, index)."""
    if not isinstance(item, tuple) or len(item) != 2:
        raise TypeError(
            f"a training data set is indexed by (epoch, index), got {item!r}; see denseup.data.EpochSampler"
        )
    return Streams(seed, *item)


class SeededBySample(Dataset):
    """A training data set whose samples find the global random numbers seeded by (seed, epoch, index).

    What draws from them outside of it goes on as if no sample had been made.

    Args:
        dataset: indexed by (epoch, index).
        seed: of the run.
    """

    def __init__(self, dataset: Dataset, seed: int) -> None:
        self.dataset, self.seed = dataset, seed

    def __len__(self) -> int:
        return len(self.dataset)  # type: ignore[arg-type]

    def __getitem__(self, item: TrainIndex) -> Sample:
        with _global_streams(self.seed, *item):
            sample: Sample = self.dataset[item]
        return sample


@contextmanager
def _global_streams(*names: int) -> Iterator[None]:
    """Within it torch's, NumPy's and Python's random numbers on the CPU are those of these names."""
    states = torch.get_rng_state(), np.random.get_state(), random.getstate()  # whatever others draw from
    (drawn,) = np.random.SeedSequence(names).generate_state(1, np.uint64)
    torch.default_generator.manual_seed(int(drawn))
    np.random.seed(int(drawn) & 0xFFFFFFFF)
    random.seed(int(drawn))
    try:
        yield
    finally:
        torch.set_rng_state(states[0])
        np.random.set_state(states[1])
        random.setstate(states[2])


class EpochSampler(DistributedSampler):
    """Yields (epoch, index) for the indices 0..length-1, the same number to each process.

    It is a `DistributedSampler` so that Lightning calls `set_epoch` and leaves it in place when it runs several
    processes. `num_replicas` and `rank` default to those of torch.distributed, or to one process. When `length` is
    not a multiple of the number of processes, the last few of the (shuffled) order are left out.
    """

    def __init__(
        self, length: int, seed: int = 0, shuffle: bool = True, num_replicas: int | None = None, rank: int | None = None
    ) -> None:
        together = dist.is_available() and dist.is_initialized()
        world = num_replicas if num_replicas is not None else dist.get_world_size() if together else 1
        rank = rank if rank is not None else dist.get_rank() if together else 0
        if length < world:
            raise ValueError(f"length={length}: expected at least one sample for each of the {world} processes")
        super().__init__(range(length), world, rank, shuffle=shuffle, seed=seed, drop_last=True)  # type: ignore[arg-type]
        self.done = 0
        """Samples of the next epoch that this process had already, before it was interrupted."""

    def __iter__(self) -> Iterator[TrainIndex]:  # type: ignore[override]
        """This process's share of the epoch set by `set_epoch`."""
        length = len(self.dataset)  # type: ignore[arg-type]
        generator = torch.Generator().manual_seed(self.seed + self.epoch)
        order = torch.randperm(length, generator=generator).tolist() if self.shuffle else list(range(length))
        mine = order[self.rank : self.total_size : self.num_replicas]
        first, self.done = self.done, 0
        return iter([(self.epoch, index) for index in mine[first:]])
