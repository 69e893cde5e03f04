"""Files that someone else could hand over: each would leave a mark if anything in it were run."""

import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

FORMER = Path(__file__).parents[1] / "reference" / "former_runs" / "matting_indexnet"


class Marks:
    """A pickle of it makes a folder when it is loaded by whoever loads all."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.mark),)


def pickled(file: Path, mark: Path, beside: dict[str, Any] | None = None) -> Path:
    """A file as torch.save writes it, with what marks beside what is expected in it."""
    file.parent.mkdir(parents=True, exist_ok=True)
    torch.save({**(beside or {}), "extra": Marks(mark)}, file)
    return file


def bare_pickle(file: Path, mark: Path) -> Path:
    """The same without torch's archive around it."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(pickle.dumps(Marks(mark)))
    return file


def checkpoint_of(file: Path, change: Callable[[dict[str, Any]], None]) -> Path:
    """A checkpoint of a run whose config was changed."""
    content = torch.load(FORMER / "checkpoints" / "best.ckpt", weights_only=True)
    change(content["denseup_config"])
    file.parent.mkdir(parents=True, exist_ok=True)
    torch.save(content, file)
    return file
