"""A training sample after each step of its augmentation."""

from collections.abc import Iterator
from typing import Any, Protocol, runtime_checkable

from torch.utils.data import Dataset

from denseup.data.datasets.sampling import TrainIndex

Arrays = dict[str, Any]


@runtime_checkable
class Staged(Protocol):
    """A training data set that can say what each step makes of a sample."""

    def stages(self, item: TrainIndex) -> Iterator[tuple[str, Arrays]]:
        """(name of the step, the sample's arrays after it), step by step; the last is what a network gets."""
        ...


def stages_of(dataset: Dataset, item: TrainIndex) -> list[tuple[str, Arrays]]:
    """The steps of the training sample (epoch, index); none for a data set that does not tell them."""
    return list(dataset.stages(item)) if isinstance(dataset, Staged) else []
