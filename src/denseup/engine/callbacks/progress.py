"""Progress of a run: a rich bar on a terminal, a line now and then elsewhere."""

import sys
import time
from typing import Any

import pytorch_lightning as pl
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from torch import Tensor

from denseup.tasks import DenseTask

SECONDS_BETWEEN_LINES = 15.0


class RunProgress(pl.callbacks.ProgressBar):
    """Steps of the whole run with loss, rate, time left and the last validation value.

    Args:
        console: where to write; standard error by default.
    """

    def __init__(self, console: Console | None = None) -> None:
        super().__init__()
        self.console = console or Console(file=sys.stderr)
        self._bar: Progress | None = None
        self._task: Any = None
        self._started = self._last_line = 0.0
        self._first_step = 0
        self._enabled = True

    def disable(self) -> None:
        """Lightning silences all processes but the first."""
        self._enabled = False

    def enable(self) -> None:
        """Undo `disable`."""
        self._enabled = True

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Open the bar."""
        self._started = self._last_line = time.monotonic()
        self._first_step = trainer.global_step
        if not self.console.is_terminal or not self._enabled:
            return
        columns = (
            TextColumn("{task.description}"),
            BarColumn(bar_width=None),
            MofNCompleteColumn(),
            TextColumn("{task.fields[state]}"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
        )
        self._bar = Progress(*columns, console=self.console, expand=True)
        self._bar.start()
        self._task = self._bar.add_task("train", total=self._total(trainer), completed=self._first_step, state="")

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Advance."""
        state = self._state(trainer, pl_module)
        if self._bar is not None:
            self._bar.update(self._task, completed=trainer.global_step, state=state)
        elif self._enabled and time.monotonic() - self._last_line > SECONDS_BETWEEN_LINES:
            self._last_line = time.monotonic()
            left = self._seconds_left(trainer)
            self.console.print(f"step {trainer.global_step}/{self._total(trainer)}  {state}  {left:.0f} s left")

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Close the bar."""
        self._close()

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        """Close the bar, or it hides the error."""
        self._close()

    def _close(self) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = None

    def _state(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> str:
        assert isinstance(pl_module, DenseTask)
        metrics = trainer.callback_metrics
        parts = [f"loss {_number(metrics.get('train/loss'))}", f"{self._rate(trainer):.2f} steps/s"]
        last = metrics.get(f"val/{pl_module.monitor}")
        return "  ".join([*parts, f"val {pl_module.monitor} {_number(last)}"] if last is not None else parts)

    def _rate(self, trainer: pl.Trainer) -> float:
        return (trainer.global_step - self._first_step) / max(time.monotonic() - self._started, 1e-9)

    def _seconds_left(self, trainer: pl.Trainer) -> float:
        return (self._total(trainer) - trainer.global_step) / max(self._rate(trainer), 1e-9)

    @staticmethod
    def _total(trainer: pl.Trainer) -> int:
        return int(trainer.estimated_stepping_batches)


def _number(value: Tensor | None) -> str:
    return "-" if value is None else f"{float(value):.4f}"
