"""A callback that stops a training at a step until its process is ended: where it is killed is no matter of luck."""

import os
import time
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from processes import GUARD

OPTION = "+callbacks.pause={_target_:pausing.Pause,steps:%s}"


class Pause(pl.Callback):
    """Wait after each of some steps; a run that goes on from there, or comes there again, does not wait again.

    Args:
        steps: numbers of training steps.
    """

    def __init__(self, steps: list[int]) -> None:
        self.steps = steps

    def on_train_batch_end(self, trainer: pl.Trainer, *args: Any) -> None:
        """Say that the run waits here, and wait."""
        mark = paused(Path(trainer.default_root_dir), trainer.global_step)
        if trainer.global_step in self.steps and not mark.exists():
            mark.touch()
            time.sleep(GUARD)


def paused(folder: Path, step: int) -> Path:
    """The file that a run leaves in its folder when it waits after a step."""
    return folder / f".paused_{step}"


def pausing(*steps: int) -> str:
    """The option that makes runs wait after some steps; their processes need `environment()`."""
    return OPTION % list(steps)


def environment() -> dict[str, str]:
    """This one, in which the process finds this module."""
    return os.environ | {"PYTHONPATH": str(Path(__file__).parent)}
