"""One small adapter for each kind of logger: how it shows pictures, tables and a run's summary, and how it ends.

Lightning's loggers have numbers in common and nothing else. A kind without an adapter gets the numbers alone.
"""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray
from pytorch_lightning.loggers import Logger, MLFlowLogger, TensorBoardLogger, WandbLogger

from denseup.engine.loggers.guarding import guarded
from denseup.engine.loggers.wandb_run import wait_until_written

Picture = NDArray[np.uint8]
Row = Mapping[str, Any]


class Adapter:
    """Of a logger that takes numbers alone.

    Args:
        logger: of Lightning.
    """

    def __init__(self, logger: Any) -> None:
        self.logger = logger
        self.guard = guarded(logger)
        """Through which everything goes that may fail without an end of the run."""
        self.values: dict[str, Any] = {}
        """The summary."""

    def image(self, name: str, picture: Picture, step: int) -> None:
        """Show a picture `[H, W, 3]`."""

    def table(self, name: str, rows: Sequence[Row]) -> None:
        """Show rows with the same keys."""

    def summary(self, values: Mapping[str, Any]) -> None:
        """What stands for the run in a table of runs."""
        self.values.update(values)

    def note(self) -> str | None:
        """Where to find the run, for the person at the terminal."""
        return None

    def finish(self, exit_code: int) -> None:
        """Close the logger."""
        self.logger.finalize("success" if exit_code == 0 else "failed")


class WandbAdapter(Adapter):
    """Pictures, tables and summary of a W&B run."""

    def image(self, name: str, picture: Picture, step: int) -> None:
        """A media panel."""
        self.logger.log_image(name, [picture], step=step)

    def table(self, name: str, rows: Sequence[Row]) -> None:
        """A W&B table."""
        columns = list(rows[0])
        self.logger.log_table(name, columns, [[row[column] for column in columns] for row in rows])

    def summary(self, values: Mapping[str, Any]) -> None:
        """W&B's summary."""
        self.logger.experiment.summary.update(values)

    def note(self) -> str:
        """Its address, or how to upload it."""
        run = self.logger.experiment
        return f"W&B: {run.url}" if not run.offline else f"W&B: offline; upload with: wandb sync {Path(run.dir).parent}"

    def finish(self, exit_code: int) -> None:
        """End the run with the exit code, so that the next job of this process is a run of its own."""
        super().finish(exit_code)
        run = self.logger.experiment
        folder = Path(run.dir).parent
        try:
            run.finish(exit_code=exit_code)
            wait_until_written(folder)
        except TimeoutError:
            print(
                f"W&B: not everything has arrived; upload with: wandb sync --include-online {folder}", file=sys.stderr
            )


class TensorBoardAdapter(Adapter):
    """Pictures, tables as text, and the summary as a line of TensorBoard's HPARAMS."""

    def image(self, name: str, picture: Picture, step: int) -> None:
        """The tab IMAGES."""
        self.logger.experiment.add_image(name, picture, step, dataformats="HWC")

    def table(self, name: str, rows: Sequence[Row]) -> None:
        """The tab TEXT, in Markdown."""
        lines = [list(rows[0]), ["---"] * len(rows[0]), *(list(row.values()) for row in rows)]
        self.logger.experiment.add_text(name, "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines))

    def finish(self, exit_code: int) -> None:
        """The tab HPARAMS, once everything is known."""
        numbers = {name: value for name, value in self.values.items() if isinstance(value, int | float)}
        if numbers:
            self.logger.log_hyperparams(self.logger.hparams, numbers)
        super().finish(exit_code)


class MLFlowAdapter(Adapter):
    """Pictures and tables as artefacts, and the summary as metrics."""

    def image(self, name: str, picture: Picture, step: int) -> None:
        """An artefact NAME_STEP.png."""
        self.logger.experiment.log_image(self.logger.run_id, picture, artifact_file=f"{name}_{step:06d}.png")

    def table(self, name: str, rows: Sequence[Row]) -> None:
        """An artefact NAME.json."""
        columns = {column: [row[column] for row in rows] for column in rows[0]}
        self.logger.experiment.log_dict(self.logger.run_id, columns, f"{name}.json")

    def finish(self, exit_code: int) -> None:
        """The summary, once everything is known."""
        numbers = {name: value for name, value in self.values.items() if isinstance(value, int | float)}
        self.logger.log_metrics(numbers)
        super().finish(exit_code)


class Adapters:
    """The adapter of each logger, made on first use."""

    kinds: ClassVar[dict[type[Logger], type[Adapter]]] = {
        WandbLogger: WandbAdapter,
        TensorBoardLogger: TensorBoardAdapter,
        MLFlowLogger: MLFlowAdapter,
    }
    """A logger of one's own adds itself here."""

    def __init__(self) -> None:
        self._made: WeakKeyDictionary[Logger, Adapter] = WeakKeyDictionary()

    def of(self, logger: Logger) -> Adapter:
        """That of its class, or of the nearest one above it."""
        if logger not in self._made:
            kind = next((self.kinds[parent] for parent in type(logger).__mro__ if parent in self.kinds), Adapter)
            self._made[logger] = kind(logger)
        return self._made[logger]


ADAPTERS = Adapters()
