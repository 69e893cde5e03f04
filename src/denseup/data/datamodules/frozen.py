"""The data module of a frozen encoder: training samples that stay the same, with its maps where they are kept."""

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor
from torch.utils.data import DataLoader, Dataset, default_collate

from denseup.data.datamodules.base import DenseData
from denseup.data.datasets.parting import held_samples
from denseup.data.datasets.sampling import Sample


class FrozenData(DenseData):
    """Another module's data with fixed views for training.

    Args:
        data: the other module.
        kept: split → its samples from a cache, with the entry `maps`; the others are made as they are asked for.
    """

    def __init__(self, data: DenseData, kept: Mapping[str, Dataset] | None = None) -> None:
        kept = dict(kept or {})
        super().__init__(data.batch_size, 0 if "train" in kept else data.num_workers, data.seed)
        self.data, self.kept = data, kept
        self.task, self.num_classes, self.class_names = data.task, data.num_classes, data.class_names
        self.hold_out = data.hold_out

    def make(self, split: str) -> Dataset:
        """What is kept of a split; else fixed views for "train", and the other module's data set."""
        if split in self.kept:
            return self.kept[split]
        return self.data.fixed_views() if split == "train" else self.data.dataset(split)

    def held_samples(self, share: float) -> list[bool]:
        """As of any module; what is kept does not tell."""
        return held_samples(self.data.fixed_views(), share)

    def _loader(self, dataset: Dataset, batch_size: int, **kwargs: Any) -> DataLoader:
        return super()._loader(dataset, batch_size, collate_fn=collate, **kwargs)


def collate(samples: Sequence[Sample]) -> Sample:
    """Samples → a batch; lists of maps keep their layout, channels last.

    Raises:
        ValueError: images of different sizes.
    """
    sizes = {tuple(sample["image"].shape[1:]): str(sample.get("name")) for sample in samples}
    if len(sizes) > 1:
        found = ", ".join(f"{name} {height}×{width}" for (height, width), name in sizes.items())
        raise ValueError(
            f"images of different sizes can't be trained on in one batch: {found}; expected data.fixed_views to be a "
            "number of crops, or data.batch_size=1"
        )
    return {name: _joined([sample[name] for sample in samples]) for name in samples[0]}


def _joined(values: Sequence[Any]) -> Any:
    if not isinstance(values[0], list):
        return default_collate(list(values))
    return [_channels_last(maps) for maps in zip(*values, strict=True)]


def _channels_last(maps: Sequence[Tensor]) -> Tensor:
    stacked: Tensor = default_collate([x.permute(1, 2, 0) for x in maps])
    return stacked.permute(0, 3, 1, 2)
