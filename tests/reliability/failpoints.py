"""Points at which a training kills itself with signal 9: its process is gone at once, as when the power fails."""

import os
import signal
from collections.abc import Callable
from importlib import import_module
from typing import Any

import pytorch_lightning as pl

VARIABLE = "DENSEUP_TEST_FAILPOINT"
OPTION = "+callbacks.failpoint={_target_:reliability.failpoints.FromEnvironment}"
"""Option of a command whose process dies where the variable says, and else runs as ever."""

POINTS = {
    "a step": ("denseup.engine.callbacks.averaging:AverageWeights.on_train_batch_end", "after"),
    "the gradients of a step": ("denseup.tasks.learning:Learns.backward", "after"),
    "a checkpoint begun": ("denseup.engine.checkpoint_files:_Hashing.write", "before"),
    "a checkpoint written beside": ("denseup.engine.checkpoint_files:_shift", "before"),
    "the ones before shifted": ("denseup.engine.checkpoint_files:_shift", "after"),
    "a checkpoint in its place": ("denseup.engine.checkpoint_files:_sync_folder", "before"),
    "a checkpoint kept": ("denseup.engine.checkpoint_files:_sync_folder", "after"),
    "an evaluation begun": ("denseup.tasks.base:DenseTask.validation_step", "before"),
    "an evaluation measured": ("denseup.engine.callbacks.history:KeepHistory.on_validation_end", "before"),
    "an evaluation remembered": ("denseup.engine.callbacks.history:KeepHistory.on_validation_end", "after"),
    "a picture": ("denseup.engine.callbacks.predictions:save_png", "before"),
    "rows not in metrics.csv": ("denseup.engine.loggers.csv_file:_Writer.save", "before"),
    "rows half in metrics.csv": ("denseup.engine.loggers.csv_file:_Writer.save", "torn"),
    "rows in metrics.csv": ("denseup.engine.loggers.csv_file:_Writer.save", "after"),
    "metrics.csv written anew": ("denseup.engine.loggers.csv_file:write_atomic", "before"),
    "per_image.csv": ("denseup.engine.training:write_images", "before"),
    "the result": ("denseup.engine.folder:RunFolder.write_result", "before"),
    "the averaged weights": ("denseup.engine.ending:_evaluate_averaged", "before"),
    "the averaged weights measured": ("denseup.engine.ending:_evaluate_averaged", "after"),
}
"""Name → where it is, and whether the process dies before or after it, or when half of a line is on the disk."""


def install(point: str, number: int) -> None:
    """Die when the process comes to a point for the so-manieth time."""
    place, when = POINTS[point]
    module, _, path = place.partition(":")
    owner: Any = import_module(module)
    *outer, name = path.split(".")
    for part in outer:
        owner = getattr(owner, part)
    setattr(owner, name, _dying(getattr(owner, name), number, when))


class FromEnvironment(pl.Callback):
    """Installs the point that the environment names: its name, "*" and its number."""

    def __init__(self) -> None:
        point, _, number = os.environ.get(VARIABLE, "").partition("*")
        if point:
            install(point, int(number))


def _dying(call: Callable[..., Any], number: int, when: str) -> Callable[..., Any]:
    seen = 0

    def counted(*args: Any, **kwargs: Any) -> Any:
        nonlocal seen
        seen += 1
        if seen == number and when == "torn":
            _tear(*args)
        elif seen == number and when == "before":
            _die()
        result = call(*args, **kwargs)
        if seen == number:
            _die()
        return result

    return counted


def _tear(writer: Any, *_: Any) -> None:
    """Have half a line of metrics.csv on the disk, and die."""
    with open(writer.metrics_file_path, "a") as file:
        file.write("0.25,1")
        file.flush()
        os.fsync(file.fileno())
    _die()


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)
