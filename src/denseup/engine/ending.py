"""What a training has left to be evaluated when its last step is done, here or in a process that was killed."""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

import pytorch_lightning as pl

from denseup.data.datamodules import DenseData
from denseup.engine.callbacks.averaging import AVERAGED, AverageWeights
from denseup.engine.callbacks.history import KeepHistory
from denseup.engine.folder import RunFolder
from denseup.tasks import DenseTask


def evaluate_at_the_end(
    trainer: pl.Trainer,
    task: DenseTask,
    data: DenseData,
    folder: RunFolder,
    history: KeepHistory,
    weights: AverageWeights | None,
) -> None:
    """Evaluate the last step, if that has not been done, and the averaged weights.

    Raises:
        ValueError: no step was trained, or there is nothing to evaluate.
    """
    _evaluate_last_step(trainer, task, data, folder, history)
    if weights is not None:
        _evaluate_averaged(trainer, task, data, folder, history, weights)


def _evaluate_last_step(
    trainer: pl.Trainer, task: DenseTask, data: DenseData, folder: RunFolder, history: KeepHistory
) -> None:
    """Where the last step had no evaluation of its own, or it was another process's, make up for it."""
    step = trainer.global_step
    if not step:
        raise ValueError("no step was trained: the trainer's limits leave nothing to do")
    evaluated = bool(history.history) and history.history[-1]["step"] == step
    if evaluated and task.baseline and not getattr(trainer, "fast_dev_run", False):  # that keeps no checkpoints
        return
    with _logging_nothing(trainer) if evaluated else nullcontext():
        trainer.validate(task, datamodule=data, verbose=False)
    if not history.history:
        raise ValueError("nothing was evaluated: the validation data are empty")
    history.history[-1]["step"] = step
    if evaluated:  # twice
        history.forget_repeated()
    if history.history[-1] == history.outcomes(task)["best"]:
        trainer.save_checkpoint(folder.checkpoints / "best.ckpt")
    trainer.save_checkpoint(folder.checkpoints / "last.ckpt")


def _evaluate_averaged(
    trainer: pl.Trainer,
    task: DenseTask,
    data: DenseData,
    folder: RunFolder,
    history: KeepHistory,
    weights: AverageWeights,
) -> None:
    """The averaged weights' metrics, and checkpoints/averaged.ckpt; the task keeps its own weights."""
    step = trainer.global_step
    with weights.in_place(task), task.evaluating_as(AVERAGED), history.of_averaged_weights():
        trainer.validate(task, datamodule=data, verbose=False)
        trainer.save_checkpoint(folder.checkpoints / f"{AVERAGED}.ckpt")
    history.history[-1]["step"] = step


@contextmanager
def _logging_nothing(trainer: pl.Trainer) -> Iterator[None]:
    """Within it the loggers hear nothing: what is measured again was logged before the run was killed."""
    loggers, trainer.loggers = trainer.loggers, []
    try:
        yield
    finally:
        trainer.loggers = loggers
