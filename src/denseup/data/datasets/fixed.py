"""Training samples that are the same in every epoch, for an encoder that does not learn: its maps can be kept."""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import Dataset

from denseup.data.checking.files import FileGroup
from denseup.data.datasets.parting import hold_out_of, image_of
from denseup.data.datasets.sampling import Sample, TrainIndex


class FixedViews(Dataset):
    """The samples of the first epochs of a training data set: random crops, drawn once.

    Args:
        dataset: indexed by (epoch, index).
        epochs: how many views of each of its samples.
    """

    def __init__(self, dataset: Dataset, epochs: int) -> None:
        self.dataset, self.epochs, self.hold_out = dataset, epochs, hold_out_of(dataset)

    def __len__(self) -> int:
        return self.epochs * _length(self.dataset)

    def __getitem__(self, item: TrainIndex | int) -> Sample:
        """A view by its place, or by (epoch, place): every epoch has the same."""
        sample: Sample = self.dataset[divmod(_place(item), _length(self.dataset))]
        return sample

    def image_of(self, place: int) -> int:
        """See `parting.OfImages`."""
        return image_of(self.dataset, place % _length(self.dataset))

    def file_groups(self) -> Iterator[FileGroup]:
        """See `check.Checkable`."""
        return self.dataset.file_groups()  # type: ignore[attr-defined]


class WithMirrored(Dataset):
    """Whole images, and behind them their mirror images.

    Args:
        dataset: indexed by an int.
    """

    def __init__(self, dataset: Dataset) -> None:
        self.dataset = dataset

    def __len__(self) -> int:
        return 2 * _length(self.dataset)

    def __getitem__(self, item: TrainIndex | int) -> Sample:
        """A view by its place, or by (epoch, place): every epoch has the same."""
        turn, index = divmod(_place(item), _length(self.dataset))
        sample: Sample = self.dataset[index]
        return mirrored(sample) if turn else sample

    def image_of(self, place: int) -> int:
        """See `parting.OfImages`."""
        return image_of(self.dataset, place % _length(self.dataset))

    def file_groups(self) -> Iterator[FileGroup]:
        """See `check.Checkable`."""
        return self.dataset.file_groups()  # type: ignore[attr-defined]


def mirrored(sample: Sample) -> Sample:
    """A sample with every map in it turned left to right."""
    return {name: _mirrored(value) for name, value in sample.items()}


def _mirrored(value: Any) -> Any:
    return torch.flip(value, [-1]) if isinstance(value, Tensor) and value.dim() >= 2 else value


def _place(item: TrainIndex | int) -> int:
    return item[1] if isinstance(item, tuple) else item


def _length(dataset: Dataset) -> int:
    return len(dataset)  # type: ignore[arg-type]
