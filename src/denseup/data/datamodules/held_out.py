"""Choosing without looking at what is reported: some training samples take the place of the validation set."""

from typing import Any

from torch.utils.data import DataLoader, Dataset

from denseup.data.datamodules.base import DenseData
from denseup.data.datamodules.frozen import collate
from denseup.data.datasets.sampling import Sample, TrainIndex


class HeldOutData(DenseData):
    """Another module's training samples in two parts of different images, see `datasets.parting`.

    Args:
        data: the other module, `parted` by the share of its images that is held out.

    Raises:
        ValueError: data that is not parted, or a share that leaves nothing on one side.
    """

    def __init__(self, data: DenseData) -> None:
        super().__init__(data.batch_size, data.num_workers, data.seed)
        if data.hold_out is None:
            raise ValueError("data is not parted, expected data.parted(SHARE)")
        self.data, self.share = data, data.hold_out
        self.task, self.num_classes, self.class_names = data.task, data.num_classes, data.class_names

    def make(self, split: str) -> Dataset:
        """The images that are trained on for "train", the ones held out for "val" and "test"."""
        held = self.data.held_samples(self.share)
        places = [place for place, side in enumerate(held) if side == (split != "train")]
        return Part(self.data.dataset("train"), places)

    def _loader(self, dataset: Dataset, batch_size: int, **kwargs: Any) -> DataLoader:
        return super()._loader(dataset, batch_size, collate_fn=collate, **kwargs)


class Part(Dataset):
    """Some of the samples of a training data set; by an int, as in evaluation, those of its first epoch."""

    def __init__(self, dataset: Dataset, places: list[int]) -> None:
        self.dataset, self.places = dataset, places

    def __len__(self) -> int:
        return len(self.places)

    def __getitem__(self, item: TrainIndex | int) -> Sample:
        """The sample of (epoch, index), or of an index."""
        epoch, index = item if isinstance(item, tuple) else (0, item)
        sample: Sample = self.dataset[(epoch, self.places[index])]
        return sample
