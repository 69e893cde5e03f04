"""Weights from a file that a user names: tensors by name, and nothing that a pickle could run."""

from pathlib import Path

import torch
from torch import Tensor


def read_state_dict(path: str | Path, argument: str = "pretrained") -> dict[str, Tensor]:
    """The state dict in a file, on the CPU.

    Raises:
        ValueError: no such file, one that holds something else than tensors, or one that would run code.
    """
    said = f"{argument}={str(path)!r}"
    if not Path(path).is_file():
        raise ValueError(f"{said}: there is no such file; expected a state dict that torch.save wrote")
    try:
        weights = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        kind = type(error).__name__  # torch's message advises to load the file all the same
        raise ValueError(f"{said}: not a file of weights alone ({kind}); expected a state dict of tensors") from error
    if not isinstance(weights, dict) or not all(isinstance(value, Tensor) for value in weights.values()):
        raise ValueError(f"{said}: holds something else than tensors by name; expected a state dict")
    return weights
