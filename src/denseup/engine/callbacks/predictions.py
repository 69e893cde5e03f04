"""Pictures of what the network predicts, after every evaluation."""

import pytorch_lightning as pl

from denseup.engine.folder import RunFolder
from denseup.engine.loggers.making import log_image
from denseup.tasks import DenseTask
from denseup.visualization import grid, save_png


class SavePredictions(pl.Callback):
    """After every evaluation, the task's examples as one picture: images/<stage>_<step>.png, and in the loggers."""

    def __init__(self, folder: RunFolder) -> None:
        self.folder = folder

    def on_validation_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Save the picture of the validation examples."""
        assert isinstance(pl_module, DenseTask)
        self._save(trainer, pl_module, pl_module.stage)

    def on_test_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Save the picture of the test examples."""
        assert isinstance(pl_module, DenseTask)
        self._save(trainer, pl_module, "test")

    def _save(self, trainer: pl.Trainer, task: DenseTask, stage: str) -> None:
        if trainer.sanity_checking or not trainer.is_global_zero or not task.examples:
            return
        picture = grid(task.examples)
        save_png(self.folder.images / f"{stage}_{trainer.global_step:06d}.png", picture)
        log_image(trainer.loggers, f"{stage}/predictions", picture, trainer.global_step)
