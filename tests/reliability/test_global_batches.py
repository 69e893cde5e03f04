"""The batches of an epoch, over all processes together, are the same for any number of processes and workers."""

from types import SimpleNamespace
from typing import Any

import pytest
import torch.distributed as dist
from torch.utils.data import Dataset

from denseup.data.datamodules import DemoData
from denseup.data.datamodules.base import DenseData
from denseup.engine.batching import batches_of

Batches = list[frozenset[tuple[int, int]]]


class Named(Dataset):
    """Each sample is its own name."""

    def __init__(self, length: int) -> None:
        self.length = length

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, item: tuple[int, int]) -> tuple[int, int]:
        return item


class NamedData(DenseData):
    task = "matting"

    def __init__(self, length: int, batch: int, workers: int = 0) -> None:
        super().__init__(batch, workers, seed=3)
        self.length = length

    def make(self, split: str) -> Dataset:
        return Named(self.length)


def share(data: DenseData, epoch: int, done: int) -> list[list[tuple[int, int]]]:
    """What the process at hand gets of an epoch of which it had `done` batches."""
    progress = SimpleNamespace(is_last_batch=False, current=SimpleNamespace(completed=done))
    loop = SimpleNamespace(epoch_loop=SimpleNamespace(batch_progress=progress))
    data.trainer = SimpleNamespace(current_epoch=epoch, fit_loop=loop)  # type: ignore[assignment]
    loader = data.train_dataloader()
    return [list(zip(*(column.tolist() for column in batch), strict=True)) for batch in loader]


def together(
    monkeypatch: pytest.MonkeyPatch, world: int, effective: int, length: int, epoch: int = 0, done: int = 0, **more: int
) -> Batches:
    """The batches of an epoch that `world` processes have."""
    shares = []
    for rank in range(world):
        with monkeypatch.context() as patch:
            patch.setattr(dist, "is_initialized", lambda: True)
            patch.setattr(dist, "get_world_size", lambda: world)
            patch.setattr(dist, "get_rank", lambda rank=rank: rank)
            data, task = NamedData(length, 1, **more), SimpleNamespace(micro_batch=None)
            trainer: Any = SimpleNamespace(world_size=world, accumulate_grad_batches=1)
            with batches_of(effective, task, data, trainer):  # type: ignore[arg-type]
                shares.append(share(data, epoch, done))
    found = []
    for parts in zip(*shares, strict=True):
        samples = [sample for part in parts for sample in part]
        assert len(set(samples)) == len(samples) == effective
        found.append(frozenset(samples))
    return found


@pytest.mark.parametrize("length", [6, 7, 11, 12, 13, 29, 30])
@pytest.mark.parametrize("epoch", [0, 1])
def test_one_two_and_three_processes(monkeypatch: pytest.MonkeyPatch, length: int, epoch: int) -> None:
    """An incomplete batch at the end is no batch for any number of them."""
    one, two, three, six = (together(monkeypatch, world, 6, length, epoch) for world in (1, 2, 3, 6))
    assert len(one) == length // 6
    assert one == two == three == six


@pytest.mark.parametrize("done", [0, 1, 3])
@pytest.mark.parametrize(("before", "after"), [(1, 2), (2, 1), (2, 3), (3, 1)])
def test_an_epoch_goes_on_in_others(monkeypatch: pytest.MonkeyPatch, before: int, after: int, done: int) -> None:
    whole = together(monkeypatch, before, 6, 29, epoch=2)
    rest = together(monkeypatch, after, 6, 29, epoch=2, done=done)
    assert rest == whole[done:]


def test_workers_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    assert together(monkeypatch, 2, 6, 13, workers=1) == together(monkeypatch, 1, 6, 13)


@pytest.mark.parametrize("world", [1, 2, 3])
def test_fewer_samples_than_a_batch_are_refused_by_all(monkeypatch: pytest.MonkeyPatch, world: int) -> None:
    """Each process of several says so: none waits for another that has a batch."""
    for rank in range(world):
        with pytest.raises(ValueError, match=r"batch_size=|length=.*expected at least one sample for each"):
            together_of(monkeypatch, world, rank, length=5)
        with pytest.raises(ValueError, match=r"batch_size=|length=.*expected at least one sample for each"):
            together_of(monkeypatch, world, rank, length=1)


def together_of(monkeypatch: pytest.MonkeyPatch, world: int, rank: int, length: int) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(dist, "is_initialized", lambda: True)
        patch.setattr(dist, "get_world_size", lambda: world)
        patch.setattr(dist, "get_rank", lambda: rank)
        DemoData(batch_size=6 // world, train_length=length).train_dataloader()
