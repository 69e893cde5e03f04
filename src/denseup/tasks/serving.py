"""What a task's network takes and gives where it runs without this package: in an exported file.

Such a graph serves every size, so nothing in it may be decided by the size of the example that it was traced with.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Port:
    """An input or output `[B, channels, H, W]`, float32.

    Args:
        channels: None: as many as there are classes.
        meaning: of its values, in words.
    """

    channels: int | None
    meaning: str


@dataclass(frozen=True)
class Serving:
    """The ports of an exported file, by name.

    Args:
        inputs: in the order of the arguments of `DenseTask.serve`, all of one height and width.
        outputs: what it returns; one.
    """

    inputs: Mapping[str, Port]
    outputs: Mapping[str, Port]


IMAGE = Port(3, "RGB in 0..1, not normalised")
PLAIN = Serving({"image": IMAGE}, {"output": Port(None, "what the network gives")})
"""Of a task that says nothing else."""


def reflected(x: Tensor, multiple: int) -> Tensor:
    """Pad `[B, C, H, W]` right and bottom to a multiple by reflection, by replication where the image is too small.

    As `denseup.tasks.matting.pad_to_multiple`, for any size in one graph.
    """
    height, width = x.shape[2:]
    bottom, right = -height % multiple, -width % multiple
    # 1 where both sides are longer than their padding, else 0: numbers, for a graph has no branch
    fits = torch.sym_min(1, height // (bottom + 1)) * torch.sym_min(1, width // (right + 1))
    x = x.index_select(2, _inside(height, bottom, fits, x.device))
    return x.index_select(3, _inside(width, right, fits, x.device))


def _inside(length: int, more: int, step: int, device: torch.device) -> Tensor:
    """0 … length - 1, then back by `step`, 1 or 0, for `more` pixels."""
    index = torch.arange(length + more, device=device)
    last = length - 1
    return torch.where(index < length, index, last - step * (index - last))
