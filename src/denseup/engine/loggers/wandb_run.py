"""A W&B run. It goes online only with a key: no prompt, and no crash without a login."""

import netrc
import os
import time
import warnings
from collections import deque
from collections.abc import Mapping
from typing import Any, Literal
from urllib.parse import urlparse

from pytorch_lightning.loggers import WandbLogger

from denseup.engine.loggers.context import RunContext

Mode = Literal["online", "offline", "disabled"]
STEP = "trainer/global_step"
"""What Lightning calls the training step in W&B."""
FLUSH = 1.0
"""Seconds after which the client writes to its file what it holds; by itself it takes up to 15."""
REMEMBERED = 10 * FLUSH
RECENT = "wandb_recent"


class RememberingLogger(WandbLogger):
    """A logger whose checkpoints hold its last rows: the client may not have written them when a run is killed.

    A run that goes on logs them again, at the same training step with the same values: no curve shows which came twice.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._recent: deque[tuple[float, dict[str, float], int | None]] = deque()

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """As of any logger."""
        super().log_metrics(metrics, step)
        now = time.monotonic()
        numbers = {name: value for name, value in metrics.items() if isinstance(value, int | float)}  # and no pictures
        self._recent.append((now, numbers, step))
        while self._recent[0][0] < now - REMEMBERED:
            self._recent.popleft()

    def logged(self) -> dict[str, Any]:
        """The rows of the last seconds."""
        return {RECENT: [[row, step] for _, row, step in self._recent if row]}


def wandb_logger(run: RunContext, **options: Any) -> WandbLogger:
    """A run in W&B, with an id that a repeated command finds again.

    Args:
        run: what is logged. A run that goes on from a checkpoint is resumed as itself; otherwise one of the same id is
            written over, for the run starts from nothing.
        options: arguments of `wandb.init` (project, group, tags, name, ...), which win over what `run` says.
    """
    import wandb

    again = {} if run.resumed_at is None else {"resume": "allow"}
    arguments = {"id": run.id, "job_type": run.job_type, **again, **options}
    # What the client keeps in memory is lost when the run is killed.
    flush = "x_transaction_log_flush_interval"
    prompt: dict[str, Any] = (
        {flush: FLUSH} if flush in wandb.Settings.model_fields else {}
    )  # older clients have no such setting
    settings = wandb.Settings(silent=True, console="off", **prompt)
    common = {**arguments, "dir": run.folder, "config": run.config, "reinit": "finish_previous", "settings": settings}
    mode = wandb_mode()
    try:
        client = wandb.init(mode=mode, **common)
    except wandb.Error as error:
        if mode != "online":
            raise
        warnings.warn(f"W&B could not be reached ({error}): logging offline", stacklevel=2)
        client = wandb.init(mode="offline", **common)
    # Curves over training steps, where those of a resumed run fit together; W&B's own step counts calls of log.
    client.define_metric(STEP)
    client.define_metric("*", step_metric=STEP, step_sync=True)
    logger = RememberingLogger(experiment=client)
    for row, step in run.logged.get(RECENT, ()):
        logger.log_metrics(row, step)
    return logger


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
