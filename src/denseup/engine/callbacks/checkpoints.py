"""Which checkpoints a run keeps."""

from functools import partial

from pytorch_lightning.callbacks import ModelCheckpoint

from denseup.engine.folder import RunFolder
from denseup.tasks import DenseTask


def checkpoints(folder: RunFolder, task: DenseTask) -> tuple[ModelCheckpoint, ModelCheckpoint]:
    """checkpoints/best.ckpt by the task's monitor, and checkpoints/last.ckpt after every evaluation."""
    keep = partial(ModelCheckpoint, folder.checkpoints, enable_version_counter=False)
    return keep("best", monitor=f"val/{task.monitor}", mode=task.mode), keep("last")
