"""Which checkpoints a run keeps, and the config in them."""

from functools import partial
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import ModelCheckpoint

from denseup.engine.folder import CONFIG_KEY, RunFolder
from denseup.tasks import DenseTask


def checkpoints(folder: RunFolder, task: DenseTask) -> tuple[ModelCheckpoint, ModelCheckpoint]:
    """checkpoints/best.ckpt by the task's monitor, and checkpoints/last.ckpt after every evaluation."""
    keep = partial(ModelCheckpoint, folder.checkpoints, enable_version_counter=False)
    return keep("best", monitor=f"val/{task.monitor}", mode=task.mode), keep("last")


class StoreConfig(pl.Callback):
    """Puts a run's config into its checkpoints, from which they are built again.

    Args:
        config: of the run.
    """

    def __init__(self, config: dict[str, Any]) -> None:
        self.config = config

    def on_save_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Lightning's hook."""
        checkpoint[CONFIG_KEY] = self.config
