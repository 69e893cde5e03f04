"""W&B and CSV loggers of a run. W&B goes online only with a key: no prompt, and no crash without a login."""

import csv as csv_module
import hashlib
import netrc
import os
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlparse

import numpy as np
from numpy.typing import NDArray
from pytorch_lightning.loggers import CSVLogger, Logger, WandbLogger

from denseup.engine.quiet import only_printed, quiet_lightning

Mode = Literal["online", "offline", "disabled"]
STEP = "trainer/global_step"
"""What Lightning calls the training step in W&B."""


def make_loggers(
    folder: Path,
    *,
    csv: bool = True,
    wandb: dict[str, Any] | None = None,
    config: dict[str, Any] | None = None,
    resumed_at: int | None = None,
) -> list[Logger]:
    """Loggers of one run.

    Args:
        folder: of the run; metrics.csv and wandb/ go into it.
        csv: write metrics.csv.
        wandb: arguments of `wandb.init` (project, group, job_type, tags, name, …); None logs nothing to W&B.
        config: shown as the run's config in W&B.
        resumed_at: step of the checkpoint that the run goes on from: what was logged before it is kept. Without it a
            W&B run of the same id is written over, for the run starts from nothing.
    """
    loggers: list[Logger] = []
    if csv:
        loggers.append(_csv_logger(folder, resumed_at))
    if wandb is not None:
        again = {} if resumed_at is None else {"resume": "allow"}
        loggers.append(_wandb_logger(folder, again | wandb, config))
    for logger in loggers:
        setattr(logger, "finalize", _only_printing(logger))  # noqa: B010  # which Lightning calls too, after a training
    return loggers


def _only_printing(logger: Logger) -> Callable[[str], None]:
    """A logger's `finalize` whose error is printed: it comes after the work, and is no reason to lose it."""
    close = logger.finalize

    def finalize(status: str) -> None:
        with only_printed(f"closing {type(logger).__name__}"):
            close(status)

    return finalize


def identified(options: dict[str, Any], job_type: str, *names: str) -> dict[str, Any]:
    """Arguments of `make_loggers` with a W&B id that a repeated command finds again, and a job type.

    Args:
        options: what the arguments hold already wins.
        job_type: "train" or "eval".
        names: what tells the run from all others, such as the hash of its config and its folder.
    """
    if not options.get("wandb"):
        return options
    return {**options, "wandb": {"id": run_id(job_type, *names), "job_type": job_type, **options["wandb"]}}


def finish_loggers(loggers: Sequence[Logger], exit_code: int) -> None:
    """Close every logger; the W&B run with the exit code, so that the next job of this process is a run of its own."""
    for logger in loggers:
        logger.finalize("success" if exit_code == 0 else "failed")
        if isinstance(logger, WandbLogger):
            logger.experiment.finish(exit_code=exit_code)


def wandb_note(loggers: Sequence[Logger]) -> str | None:
    """Where to find the run in W&B, or how to upload it; None without W&B. Ask before the loggers are finished."""
    for logger in loggers:
        if isinstance(logger, WandbLogger):
            run = logger.experiment
            return run.url if not run.offline else f"offline; upload with: wandb sync {Path(run.dir).parent}"
    return None


def log_image(loggers: Sequence[Logger], name: str, image: NDArray[np.uint8], step: int) -> None:
    """Send a picture `[H, W, 3]` to the loggers that show pictures."""
    for logger in loggers:
        if isinstance(logger, WandbLogger):
            logger.log_image(name, [image], step=step)


def log_table(loggers: Sequence[Logger], name: str, rows: Sequence[Mapping[str, float]]) -> None:
    """Send rows of numbers with the same keys as a table. Offline, a table would leave pictures outside the run."""
    for logger in loggers:
        if isinstance(logger, WandbLogger) and rows:
            columns = list(rows[0])
            logger.log_table(name, columns, [[row[column] for column in columns] for row in rows])


def log_summary(loggers: Sequence[Logger], values: Mapping[str, Any]) -> None:
    """Put values into the W&B run's summary."""
    for logger in loggers:
        if isinstance(logger, WandbLogger):
            logger.experiment.summary.update(values)


def run_id(*names: str) -> str:
    """The W&B id of a run: the same for the same names, so that a resumed run goes on as itself."""
    return hashlib.sha256("/".join(names).encode()).hexdigest()[:16]


def wandb_mode() -> Mode:
    """WANDB_MODE where it is set (but never online without a key), else online with a key, else offline."""
    asked = os.environ.get("WANDB_MODE")
    if asked == "disabled":
        return "disabled"
    if asked == "offline":
        return "offline"
    if has_wandb_key():
        return "online"
    if asked == "online":
        warnings.warn("WANDB_MODE=online, but no W&B key is configured: logging offline", stacklevel=2)
    return "offline"


def has_wandb_key() -> bool:
    """Whether a key is configured, by WANDB_API_KEY or in the netrc file; asks no network and no person."""
    if os.environ.get("WANDB_API_KEY"):
        return True
    import wandb

    server = os.environ.get("WANDB_BASE_URL") or wandb.Settings().base_url
    try:
        return netrc.netrc(os.environ.get("NETRC")).authenticators(urlparse(server).netloc) is not None
    except (OSError, netrc.NetrcParseError):
        return False


def _csv_logger(folder: Path, resumed_at: int | None) -> CSVLogger:
    """Lightning's logger deletes the file that an earlier process of the run wrote; rows that stay valid go back."""
    file = folder / "metrics.csv"
    header, rows = [], []
    if resumed_at is not None and file.is_file():
        with file.open(newline="") as old:
            reader = csv_module.DictReader(old)
            header = list(reader.fieldnames or [])
            rows = [row for row in reader if row["step"] and int(row["step"]) < resumed_at]
    logger = CSVLogger(folder, name="", version="", flush_logs_every_n_steps=20)
    with quiet_lightning():
        writer = logger.experiment  # from here on the old file is gone
    if rows:
        with file.open("w", newline="") as new:
            table = csv_module.DictWriter(new, header)
            table.writeheader()
            table.writerows(rows)
        writer.metrics_keys = header
    return logger


def _wandb_logger(folder: Path, arguments: dict[str, Any], config: dict[str, Any] | None) -> WandbLogger:
    import wandb

    # The client keeps up to 15 seconds of a run in memory, which are lost when the run is killed.
    flush = "x_transaction_log_flush_interval"
    prompt: dict[str, Any] = (
        {flush: 1.0} if flush in wandb.Settings.model_fields else {}
    )  # older clients have no such setting
    settings = wandb.Settings(silent=True, console="off", **prompt)
    common = {**arguments, "dir": folder, "config": config, "reinit": "finish_previous", "settings": settings}
    mode = wandb_mode()
    try:
        run = wandb.init(mode=mode, **common)
    except wandb.Error as error:
        if mode != "online":
            raise
        warnings.warn(f"W&B could not be reached ({error}): logging offline", stacklevel=2)
        run = wandb.init(mode="offline", **common)
    # Curves over training steps, where those of a resumed run fit together; W&B's own step counts calls of log.
    run.define_metric(STEP)
    run.define_metric("*", step_metric=STEP, step_sync=True)
    return WandbLogger(experiment=run)
