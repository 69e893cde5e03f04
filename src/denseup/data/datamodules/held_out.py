"""Choosing without looking at what is reported: some training samples take the place of the validation set."""

from typing import Any

from torch.utils.data import DataLoader, Dataset

from denseup.data.datamodules.base import DenseData
from denseup.data.datamodules.frozen import collate
from denseup.data.datasets.sampling import Sample, TrainIndex


class HeldOutData(DenseData):
    """Another module's training samples in two parts: the last images are evaluated, the others trained on.

    All views of an image are on one side, and neighbours in the order of the files mostly too: frames of a video.

    Args:
        data: the other module.
        share: of the images, held out.

    Raises:
        ValueError: a share that is not between 0 and 1, or leaves nothing on one side.
    """

    def __init__(self, data: DenseData, share: float) -> None:
        super().__init__(data.batch_size, data.num_workers, data.seed)
        if not 0 < share < 1:
            raise ValueError(f"protocol.hold_out is {share!r}, expected a share between 0 and 1")
        self.data, self.share = data, share
        self.task, self.num_classes, self.class_names = data.task, data.num_classes, data.class_names

    def make(self, split: str) -> Dataset:
        """The images that are trained on for "train", the ones held out for "val" and "test"."""
        whole = self.data.dataset("train")
        number = self.data.training_images()
        first = round((1 - self.share) * number)
        if not 0 < first < number:
            raise ValueError(f"protocol.hold_out is {self.share}: of {number} images that leaves one side without any")
        held = split != "train"
        return Part(whole, [i for i in range(len(whole)) if (i % number >= first) == held])  # type: ignore[arg-type]

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
