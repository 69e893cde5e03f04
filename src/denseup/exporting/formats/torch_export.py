"""torch.export's archive, for `torch.export.load`, and for what compiles such programs (AOTInductor, ExecuTorch)."""

import io
import json
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from torch import Tensor
from torch.export import ExportedProgram

from denseup.tasks.serving import Serving

SUFFIX = ".pt2"
NEEDS: tuple[str, ...] = ()
METADATA = "denseup.json"
"""Entry of the archive: `torch.export.load(path, extra_files={"denseup.json": ""})` gives it."""


def write(program: ExportedProgram, path: Path, serving: Serving, metadata: Mapping[str, str]) -> None:
    """The program with its weights, and `metadata` as an extra file."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "No complete tensor found")  # of weights that lie in channels-last order
        content = io.BytesIO()  # torch's own writer of files does not say what a disk has against them
        torch.export.save(program, content, extra_files={METADATA: json.dumps(metadata)})
    path.write_bytes(content.getvalue())


def read(path: Path) -> Callable[..., Tensor]:
    """As its users load it."""
    module: Callable[..., Tensor] = torch.export.load(path).module()
    return module
