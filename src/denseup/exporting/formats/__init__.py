"""The formats of a graph, a module each: how one is written and read.

A module has `SUFFIX` of its files, `NEEDS`, the packages beyond torch, and the functions of `Format`.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Protocol, cast

from torch import Tensor
from torch.export import ExportedProgram

from denseup.exporting.formats import onnx, torch_export, torchscript
from denseup.tasks.serving import Serving

Call = Callable[..., Tensor]
"""The file as a function of its inputs."""


class Format(Protocol):
    """What a module of this package has."""

    SUFFIX: str
    NEEDS: tuple[str, ...]

    def write(self, program: ExportedProgram, path: Path, serving: Serving, metadata: Mapping[str, str]) -> None:
        """Write a file whose inputs and output have the names of the ports, with the metadata inside."""

    def read(self, path: Path) -> Call:
        """Load a file as its users do, on the CPU."""


FORMATS: dict[str, Format] = {
    "onnx": cast(Format, onnx),
    "torch_export": cast(Format, torch_export),
    "torchscript": cast(Format, torchscript),
}
