"""Room on the disk for what a run writes: asked for before it begins, and named when it has run out."""

from pathlib import Path
from typing import Any

import pytorch_lightning as pl

from denseup.engine.folder import RunFolder
from denseup.tasks.nested import tensors_in
from denseup.writing import check_writable, write_error

CHECKPOINTS = 3
"""The best, the last, and one that is written beside its place."""
BYTES = 4
"""Of a parameter."""


def check_room(folder: RunFolder, params: int) -> None:
    """Find out before the training whether the run's folder takes what is certainly written into it.

    Args:
        folder: of the run.
        params: of its network, in float32, which every checkpoint has; an optimizer takes once or twice as much.

    Raises:
        WriteError: a folder can't be written to, or has no room for the checkpoints.
    """
    there = sum(file.stat().st_size for file in folder.checkpoints.glob("*.ckpt"))
    for part in (folder.path, folder.images):
        check_writable(part)
    check_writable(folder.checkpoints, max(0, CHECKPOINTS * BYTES * params - there))


def name_failed_saves(trainer: pl.Trainer) -> None:
    """Let the trainer's errors of saving a checkpoint name the file, the space that it takes, and what is free.

    What it raises then is a WriteError; how checkpoints are written is not touched.
    """
    save = trainer.save_checkpoint

    def named(filepath: str | Path, *arguments: Any, **options: Any) -> None:
        try:
            save(filepath, *arguments, **options)
        except (OSError, RuntimeError) as error:  # torch's writer makes the latter of the former
            found = _of_system(error)
            if found is None:
                raise
            raise write_error(found, filepath, _checkpoint_bytes(trainer)) from error

    setattr(trainer, "save_checkpoint", named)  # noqa: B010


def tensor_bytes(value: Any) -> int:
    """Of all tensors in a nest of mappings and lists."""
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors_in(value))


def _checkpoint_bytes(trainer: pl.Trainer) -> int:
    states = [optimizer.state_dict() for optimizer in trainer.optimizers]
    return tensor_bytes([trainer.lightning_module.state_dict(), states])


def _of_system(error: BaseException | None) -> OSError | None:
    """The first error of the system among those that an error came of."""
    while error is not None:
        if isinstance(error, OSError) and error.errno is not None:
            return error
        error = error.__cause__ or error.__context__
    return None
