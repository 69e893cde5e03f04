"""Test images as they look after a corruption; what is true of them stays."""

from typing import Any

from torch.utils.data import DataLoader, Dataset

from denseup.data.datamodules.base import DenseData
from denseup.data.datasets.sampling import Sample
from denseup.data.datasets.tensors import image_tensor
from denseup.data.transforms.corruptions import corrupted


class CorruptedData(DenseData):
    """Another module's test split under a corruption.

    Images are corrupted as the network is to see them, hence after `test_size`; they have 8 bits then.

    Args:
        data: the other module.
        corruption: its name, see `denseup.data.transforms.corruptions`.
        severity: 1 to 5.
    """

    def __init__(self, data: DenseData, corruption: str, severity: int) -> None:
        super().__init__(data.batch_size, data.num_workers, data.seed)
        self.data, self.corruption, self.severity = data, corruption, severity
        self.task, self.num_classes, self.class_names = data.task, data.num_classes, data.class_names
        self.test_size = data.test_size

    def make(self, split: str) -> Dataset:
        """The other module's data set with its images corrupted."""
        return Corrupted(self.data.dataset(split), self.corruption, self.severity)

    def _loader(self, dataset: Dataset, batch_size: int, **kwargs: Any) -> DataLoader:
        return self.data._loader(dataset, batch_size, **kwargs)


class Corrupted(Dataset):
    """Samples of an evaluation with their images corrupted, each drawn by its image's name, or place without one."""

    def __init__(self, dataset: Dataset, corruption: str, severity: int) -> None:
        self.dataset, self.corruption, self.severity = dataset, corruption, severity

    def __len__(self) -> int:
        return len(self.dataset)  # type: ignore[arg-type]

    def __getitem__(self, index: int) -> Sample:
        """The sample of an index."""
        sample: Sample = self.dataset[index]
        image = sample["image"].permute(1, 2, 0).numpy()
        changed = corrupted(image, self.corruption, self.severity, str(sample.get("name", index)))
        return {**sample, "image": image_tensor(changed)}
