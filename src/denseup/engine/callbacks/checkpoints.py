"""Which checkpoints a run keeps and when, how their files are written, and the config in them."""

import time
from functools import partial
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import ModelCheckpoint
from pytorch_lightning.plugins.io import TorchCheckpointIO
from pytorch_lightning.utilities import rank_zero_warn

from denseup.engine.checkpoint_files import LAST, DamagedError, check_bytes, write_checkpoint
from denseup.engine.folder import CONFIG_KEY, LOGGED_KEY, RunFolder
from denseup.engine.loggers.context import CheckpointedLogger
from denseup.tasks import DenseTask
from denseup.tasks.checks import check_whole, is_number


def checkpoints(folder: RunFolder, task: DenseTask) -> tuple[ModelCheckpoint, ModelCheckpoint]:
    """checkpoints/best.ckpt by the task's monitor, and checkpoints/last.ckpt after every evaluation."""
    keep = partial(ModelCheckpoint, folder.checkpoints, enable_version_counter=False)
    return keep("best", monitor=f"val/{task.monitor}", mode=task.mode), keep("last")


TOGETHER = 16
"""Steps after which several processes ask the first one whether it is time: each time they wait for one another."""


class KeepCheckpoints(pl.Callback):
    """How often checkpoints/last.ckpt is written beside after every evaluation, and how many before it are kept.

    It is written between two batches, when the last one made an optimizer step and its numbers are logged: a run that
    goes on from it is the same run. The loggers write down what they hold before any checkpoint is written.

    Args:
        every_minutes: so long after the last one, as soon as the step at hand is done, of several processes one that
            `TOGETHER` divides; None: after evaluations alone; 0: after every step.
        keep: files to go on from: last.ckpt, last-1.ckpt, …; each is as large as the other.

    Raises:
        ValueError: every_minutes is no number ≥ 0, or keep none ≥ 1.
    """

    def __init__(self, every_minutes: float | None = 10.0, keep: int = 2) -> None:
        if every_minutes is not None and not is_number(every_minutes, 0):
            raise ValueError(
                f"callbacks.checkpoint.every_minutes is {every_minutes!r}, expected a number ≥ 0, or null for "
                "checkpoints after evaluations alone"
            )
        check_whole("callbacks.checkpoint.keep", keep, 1)
        self.every_minutes, self.keep = every_minutes, keep
        self._saved_at, self._saved_step = 0.0, 0
        self._step_before = 0
        self._between_batches = False

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Have checkpoints written and read by `CheckpointFiles`, unless a plugin of one's own does it."""
        if type(trainer.strategy.checkpoint_io) is TorchCheckpointIO:
            trainer.strategy.checkpoint_io = CheckpointFiles(self.keep)

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """The time counts from here."""
        self._saved_at, self._saved_step = time.monotonic(), trainer.global_step
        self._step_before = trainer.global_step

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Write last.ckpt if it is time; all that belongs to the batch before has been done and logged."""
        stepped = trainer.global_step != self._step_before
        self._step_before = trainer.global_step
        # Lightning takes the first batch of an epoch for one after an evaluation, where it counts epochs between these.
        first = batch_idx == 0 and trainer.check_val_every_n_epoch is not None
        if not stepped or first or trainer.global_step == self._saved_step:
            return
        if getattr(trainer, "fast_dev_run", False) or not self._is_time(trainer):  # that keeps no checkpoints
            return
        self._between_batches = True
        try:
            trainer.save_checkpoint(RunFolder(trainer.default_root_dir).checkpoints / LAST)
        finally:
            self._between_batches = False

    def on_save_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """What the loggers hold is written first, and what they tell is kept: no row before the checkpoint is lost."""
        for logger in trainer.loggers:
            logger.save()
        telling = [logger for logger in trainer.loggers if isinstance(logger, CheckpointedLogger)]
        told = [logger.logged() or {} for logger in telling]  # fast_dev_run's own logger says None to everything
        checkpoint[LOGGED_KEY] = {name: value for entries in told for name, value in entries.items()}
        self._saved_at, self._saved_step = time.monotonic(), trainer.global_step
        if self._between_batches:
            _forget_begun(checkpoint["loops"]["fit_loop"]["epoch_loop.batch_progress"])

    def _is_time(self, trainer: pl.Trainer) -> bool:
        if self.every_minutes is None or (trainer.world_size > 1 and trainer.global_step % TOGETHER):
            return False
        now = time.monotonic() - self._saved_at >= 60 * self.every_minutes
        return bool(trainer.strategy.broadcast(now))  # all processes write, or none: their clocks differ


class KeepGradients(pl.Callback):
    """Puts into a checkpoint the gradients of a step that is not done: of accumulated batches, at an evaluation."""

    def __init__(self) -> None:
        self._loaded: dict[str, torch.Tensor] = {}

    def on_save_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """The gradients of this process; a warning where there are several, each of which has some."""
        done = trainer.fit_loop.epoch_loop.batch_progress.current.completed
        if done % trainer.accumulate_grad_batches == 0 or done >= trainer.num_training_batches:
            return
        if trainer.world_size > 1:
            where = f"step {trainer.global_step}, in the middle of trainer.accumulate_grad_batches"
            what = f"{trainer.world_size} processes have gradients of their own, of which a run that goes on loses some"
            rank_zero_warn(f"a checkpoint was written at {where}: {what}")
        checkpoint[GRADIENTS] = {
            name: parameter.grad for name, parameter in pl_module.named_parameters() if parameter.grad is not None
        }

    def on_load_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Lightning's hook."""
        self._loaded = checkpoint.get(GRADIENTS, {})

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Give them back to where they were."""
        for name, parameter in pl_module.named_parameters():
            if name in self._loaded:
                parameter.grad = self._loaded[name].to(parameter.device)
        self._loaded = {}


GRADIENTS = "denseup_gradients"
"""Entry of a checkpoint that was written in the middle of a step."""


class CheckpointFiles(TorchCheckpointIO):
    """Lightning's checkpoints as `denseup.engine.checkpoint_files` writes them.

    Args:
        keep: files named last….ckpt.
    """

    def __init__(self, keep: int) -> None:
        self.keep, self._read_back = keep, False

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None) -> None:
        """Write one; errors as in `write_checkpoint`. The first is read back, with a warning if that can't be done."""
        assert storage_options is None, "checkpoints of a run are local files"
        write_checkpoint(checkpoint, Path(path), self.keep)
        if not self._read_back:
            self._read_back = True
            _warn_if_unreadable(path)

    def load_checkpoint(
        self, path: str | Path, map_location: Any = None, weights_only: bool | None = None
    ) -> dict[str, Any]:
        """Read one as tensors and plain values; a DamagedError that names the file if its bytes have changed."""
        try:
            check_bytes(Path(path))
        except DamagedError as error:
            raise DamagedError(f"{path} is damaged: {error}") from error
        loaded: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        return loaded


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


def _warn_if_unreadable(path: str | Path) -> None:
    """Say early what a run that goes on would be told: checkpoints are read as tensors and plain values alone."""
    try:
        torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        what = "the state of a callback, task or logger holds something else than tensors and plain values"
        rank_zero_warn(f"{path} can't be read again: {what} ({type(error).__name__}); no run can go on from it")


def _forget_begun(progress: dict[str, Any]) -> None:
    """Take back that Lightning has fetched the next batch: it is the first one of a run that goes on."""
    for count in (progress["total"], progress["current"]):
        count["ready"] = count["started"] = count["completed"]
    progress["is_last_batch"] = False
