"""metrics.csv in the run folder."""

import csv
import io
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from pytorch_lightning.loggers import CSVLogger
from pytorch_lightning.loggers.csv_logs import ExperimentWriter

from denseup.engine.folder import write_atomic
from denseup.engine.loggers.context import RunContext
from denseup.writing import told

NAME = ExperimentWriter.NAME_METRICS_FILE
ROWS = "csv_rows"


class RowsLogger(CSVLogger):
    """metrics.csv, whose rows are counted: a checkpoint tells how many it had.

    Args:
        folder: of the run.
        header: of the file that is there, with `rows` rows.
        rows: that are there.
    """

    def __init__(self, folder: Path, header: Sequence[str] = (), rows: int = 0) -> None:
        super().__init__(folder, name="", version="", flush_logs_every_n_steps=20)
        self._experiment: _Writer = _Writer(folder, header, rows)

    def logged(self) -> dict[str, int]:
        """How many rows the file has."""
        return {ROWS: self._experiment.rows}


def csv_logger(run: RunContext) -> RowsLogger:
    """A row for every step that logs something.

    A run that goes on keeps the rows that its checkpoint counts, which were written before it
    (`callbacks.checkpoints.KeepCheckpoints`); those after them come again. Checkpoints of earlier versions count none:
    there it keeps the rows of earlier steps.
    """
    file = run.folder / NAME
    if run.resumed_at is None:
        file.unlink(missing_ok=True)
    if not file.is_file():
        return RowsLogger(run.folder)
    header, rows = _whole_rows(file)
    if ROWS in run.logged:
        rows = rows[: run.logged[ROWS]]
    else:
        rows = [row for row in rows if int(row["step"]) < (run.resumed_at or 0)]
    _write(file, header, rows)
    return RowsLogger(run.folder, header, len(rows))


class _Writer(ExperimentWriter):
    """Lightning's writer, which deletes no file that is there and has none half written while its header changes.

    Args:
        folder: of the run.
        header: of the file that is there.
        rows: of it.
    """

    def __init__(self, folder: Path, header: Sequence[str], rows: int) -> None:
        super().__init__(str(folder))
        self.metrics_keys, self.rows = list(header), rows

    def save(self) -> None:
        """Append the rows, down to the disk."""
        if not self.metrics:
            return
        self.rows += len(self.metrics)
        with told(self.metrics_file_path):  # a run's own record, without which it is not to go on
            super().save()
            with open(self.metrics_file_path, "a") as file:
                os.fsync(file.fileno())

    def _rewrite_with_new_header(self, fieldnames: list[str]) -> None:
        file = Path(self.metrics_file_path)
        _write(file, fieldnames, _whole_rows(file)[1])

    def _check_log_dir_exists(self) -> None:
        """Here Lightning deletes the file of an earlier process."""


def _whole_rows(file: Path) -> tuple[list[str], list[dict[str, str]]]:
    """Header and rows of a file whose last line may have been cut off by a kill."""
    with file.open(newline="") as text:
        lines = [line for line in text if line.endswith("\n")]
    reader = csv.DictReader(lines)
    return list(reader.fieldnames or []), [row for row in reader if (row["step"] or "").isdigit()]


def _write(file: Path, header: Sequence[str], rows: Sequence[Mapping[str, str]]) -> None:
    """All rows at once, or what was there before."""
    if not header:  # a kill came before the first line was whole
        file.unlink(missing_ok=True)
        return
    text = io.StringIO()
    table = csv.DictWriter(text, header)
    table.writeheader()
    table.writerows(rows)
    write_atomic(file, text.getvalue().encode())
