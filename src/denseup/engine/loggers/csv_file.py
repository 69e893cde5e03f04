"""metrics.csv in the run folder."""

import csv

from pytorch_lightning.loggers import CSVLogger

from denseup.engine.loggers.context import RunContext
from denseup.engine.quiet import quiet_lightning
from denseup.writing import told


def csv_logger(run: RunContext) -> CSVLogger:
    """A row for every step that logs something.

    Lightning's logger deletes the file that an earlier process of the run wrote; rows that stay valid go back.
    """
    file = run.folder / "metrics.csv"
    header, rows = [], []
    if run.resumed_at is not None and file.is_file():
        with file.open(newline="") as old:
            reader = csv.DictReader(old)
            header = list(reader.fieldnames or [])
            rows = [row for row in reader if row["step"] and int(row["step"]) < run.resumed_at]
    logger = CSVLogger(run.folder, name="", version="", flush_logs_every_n_steps=20)
    with quiet_lightning():
        writer = logger.experiment  # from here on the old file is gone
    if rows:
        with file.open("w", newline="") as new:
            table = csv.DictWriter(new, header)
            table.writeheader()
            table.writerows(rows)
        writer.metrics_keys = header
    write = writer.save

    def save() -> None:
        with told(file):  # a run's own record, without which it is not to go on
            write()

    setattr(writer, "save", save)  # noqa: B010
    return logger
