"""Random numbers of a training depend on nothing that came before: not on a restart, workers, or what others drew."""

import random
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import Dataset

from denseup.data.datamodules import DenseData
from denseup.data.datasets.sampling import SeededBySample
from denseup.engine.callbacks.randomness import RandomByStep


class Drawing(Dataset):
    """A data set of one's own that knows nothing of `train_streams`."""

    def __len__(self) -> int:
        return 10

    def __getitem__(self, item: tuple[int, int]) -> dict[str, Any]:
        drawn = torch.rand(1).item(), float(np.random.rand()), random.random(), torch.rand(1).item()
        return {"item": torch.tensor(item), "drawn": torch.tensor(drawn, dtype=torch.float64)}


class OwnData(DenseData):
    task = "matting"

    def make(self, split: str) -> Dataset:
        return Drawing()


def batches(workers: int, epoch: int, done: int, seed: int = 0) -> list[dict[str, torch.Tensor]]:
    """What a process gets that goes on in an epoch after some batches of it."""
    data = OwnData(2, workers, seed)
    progress = SimpleNamespace(is_last_batch=False, current=SimpleNamespace(completed=done))
    loop = SimpleNamespace(epoch_loop=SimpleNamespace(batch_progress=progress))
    data.trainer = SimpleNamespace(fit_loop=loop, current_epoch=epoch)  # type: ignore[assignment]
    return list(data.train_dataloader())


@pytest.mark.parametrize("workers", [0, 1])
def test_a_data_set_of_ones_own_goes_on_with_the_same_samples(workers: int) -> None:
    whole = batches(0, 3, 0)
    torch.manual_seed(5)  # as little as anything else that was drawn before
    rest = batches(workers, 3, 2)
    assert [batch["item"].tolist() for batch in rest] == [batch["item"].tolist() for batch in whole[2:]]
    assert all(torch.equal(one["drawn"], other["drawn"]) for one, other in zip(rest, whole[2:], strict=True))


def test_samples_differ_between_seeds_epochs_and_places() -> None:
    drawn = [batch["drawn"] for seed in (0, 1) for epoch in (0, 1) for batch in batches(0, epoch, 0, seed)]
    values = torch.cat(drawn)
    assert len(values) == 40
    for column in values.T:
        assert len(column.unique()) == 40


def test_what_is_drawn_outside_goes_on_as_if_no_sample_had_been_made() -> None:
    def draw() -> tuple[float, ...]:
        return torch.rand(1).item(), float(np.random.rand()), random.random()

    def seeded() -> None:
        torch.manual_seed(1)
        np.random.seed(1)
        random.seed(1)

    seeded()
    expected = [draw(), draw()]
    seeded()
    found = [draw()]
    SeededBySample(Drawing(), 0)[0, 1]
    assert [*found, draw()] == expected


def test_the_numbers_of_a_step_depend_on_its_place_alone() -> None:
    def drawn(step: int, seed: int = 0, process: int = 0) -> tuple[float, float, float]:
        loop = SimpleNamespace(epoch_loop=SimpleNamespace(total_batch_idx=step))
        trainer: Any = SimpleNamespace(fit_loop=loop, global_rank=process)
        RandomByStep(seed).on_train_batch_start(trainer, None, None, 0)  # type: ignore[arg-type]
        return torch.rand(1).item(), float(np.random.rand()), random.random()

    first = drawn(4)
    others = [drawn(5), drawn(4, seed=1), drawn(4, process=1)]
    assert drawn(4) == first
    assert all(one != other for values in others for one, other in zip(values, first, strict=True))
