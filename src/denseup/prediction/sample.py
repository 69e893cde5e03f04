"""One image with what is known of it, whole or in parts."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from denseup.data.datasets.tensors import image_tensor, map_tensor
from denseup.data.reading.samples import Array

EVERYTHING = slice(None)


@dataclass(frozen=True)
class Sample:
    """What a network sees.

    Args:
        image: RGB [H, W, 3], uint8, or float32 in [0, 1].
        prompts: by the keys of `DenseTask.prompts`, uint8 [H, W].
        name: for messages.
    """

    image: Array
    prompts: Mapping[str, Array] = field(default_factory=dict)
    name: str = "image"

    @property
    def size(self) -> tuple[int, int]:
        """Height and width."""
        height, width = self.image.shape[:2]
        return height, width

    def batch(self, device: torch.device, rows: slice = EVERYTHING, columns: slice = EVERYTHING) -> dict[str, Any]:
        """A batch of this image, or of a part of it."""
        maps = {key: map_tensor(value[rows, columns]) for key, value in self.prompts.items()}
        tensors = {"image": image_tensor(self.image[rows, columns]), **maps}
        return {**{key: value[None].to(device) for key, value in tensors.items()}, "name": [self.name]}

    def padded(self, multiple: int) -> "Sample":
        """Continued right and bottom to a multiple, by the rule of `denseup.tasks.matting.pad_to_multiple`."""
        bottom, right = (-side % multiple for side in self.size)
        if not bottom and not right:
            return self
        mode: Any = "reflect" if bottom < self.size[0] and right < self.size[1] else "edge"
        around = ((0, bottom), (0, right))
        maps = {key: np.pad(value, around, mode) for key, value in self.prompts.items()}
        return Sample(np.pad(self.image, (*around, (0, 0)), mode), maps, self.name)
