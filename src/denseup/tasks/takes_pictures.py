"""What a task says of pictures that come without a truth: what it needs beside them, and what it makes of them."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from denseup.results import Result, ValueMap
from denseup.tasks.takes_maps import TakesMaps
from denseup.tasks.watched import Batch


class TakesPictures(TakesMaps):
    """For `denseup.prediction`. A task that says none of this predicts from the image alone, and writes its map."""

    name: ClassVar[str]
    """Of the task, in configs and results."""
    prompts: ClassVar[tuple[str, ...]] = ()
    """What a prediction takes from a batch beside the image, by its key: maps uint8 `[B, 1, H, W]`."""
    result_class: ClassVar[type[Result]] = ValueMap
    """Of what `result` gives."""
    values_are_classes: ClassVar[bool] = False
    """Whether `values` gives classes, which have no mean."""
    test_size: Sequence[int] | None = None
    """(short side, long side) that the evaluation fits whole images into; None: they keep their size."""

    def predict(self, batch: Batch) -> Tensor:
        """Whole-image prediction, uint8 `[B, H, W]`."""
        raise NotImplementedError

    def values(self, batch: Batch) -> Tensor:
        """As `predict`, of a batch without truth: `[B, H, W]` at the size of the image, before any rounding.

        On a part of an image it has to give that part of the answer, up to the reach of the network.
        """
        return self.predict(batch)

    def settled(self, batch: Batch) -> Tensor | None:
        """What `values` gives where it needs no network; None where it needs one."""
        return None

    @property
    def padding(self) -> int:
        """The evaluation continues whole images right and bottom to a multiple of it, as `pad_to_multiple` does."""
        return 1

    def result(self, values: NDArray[Any], image: NDArray[Any], prompts: Mapping[str, NDArray[np.uint8]]) -> Result:
        """What is made of the `values` [H, W] of an image [H, W, 3]: the pictures that a prediction is written as."""
        return ValueMap(image, values, self.name)
