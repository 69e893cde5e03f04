"""A W&B run. It goes online only with a key: no prompt, and no crash without a login."""

import netrc
import os
import time
import warnings
from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlparse

from pytorch_lightning.loggers import WandbLogger

from denseup.engine.loggers.context import RunContext
from denseup.engine.loggers.wandb_reader import has_ended, note_part

Mode = Literal["online", "offline", "disabled"]
STEP = "trainer/global_step"
"""What Lightning calls the training step in W&B."""
FLUSH = 1.0
"""Seconds after which the client writes to its file what it holds; by itself it takes up to 15."""
REMEMBERED = 10 * FLUSH
WRITTEN = 10.0
"""Seconds that a finished run waits at most for its own end in its file."""
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


FINISH_TIMEOUT = 120.0
"""Seconds that the end of a run waits for what has not been uploaded; WANDB_FINISH_TIMEOUT is another number."""
WEAKER: dict[Mode, tuple[Mode, str]] = {
    "online": ("offline", "logging offline"),
    "offline": ("disabled", "the run goes on without it"),
}
"""What is done when W&B can't begin."""
WRONG = (TypeError, ValueError, AttributeError, ImportError)
"""Errors of options and installation, which no other mode mends."""


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
    if "finish_timeout" in wandb.Settings.model_fields:
        seconds = float(os.environ.get("WANDB_FINISH_TIMEOUT", FINISH_TIMEOUT))
        prompt |= {"finish_timeout": seconds, "finish_timeout_raises": True}
    settings = wandb.Settings(silent=True, console="off", **prompt)
    common = {**arguments, "dir": run.folder, "config": run.config, "reinit": "finish_previous", "settings": settings}
    client = _begun(wandb_mode(), common)
    part = Path(client.dir).parent
    if part.parent == run.folder / "wandb":  # not that of a disabled run, or where nothing can be written
        note_part(part)
    # Curves over training steps, where those of a resumed run fit together; W&B's own step counts calls of log.
    client.define_metric(STEP)
    client.define_metric("*", step_metric=STEP, step_sync=True)
    logger = RememberingLogger(experiment=client)
    for row, step in run.logged.get(RECENT, ()):
        logger.log_metrics(row, step)
    return logger


def wait_until_written(part: Path, seconds: float = WRITTEN) -> bool:
    """Wait until the client's service has written a run's end to its file: `finish` may return before it has.

    Args:
        part: the run's folder in wandb/.
        seconds: how long at most; a service that has died writes nothing more.

    Returns:
        Whether the end is there.
    """
    deadline, pause = time.monotonic() + seconds, 0.005
    while any(part.glob("run-*.wandb")):  # none of a disabled run
        with suppress(OSError, ValueError):  # a header that is not whole yet
            if has_ended(part):
                return True
        if time.monotonic() > deadline:
            break
        time.sleep(pause)
        pause = min(2 * pause, 0.5)
    return False


def _begun(mode: Mode, arguments: dict[str, Any]) -> Any:
    """W&B's run: offline if the server can't be reached, and none if nothing can be written."""
    import wandb

    while True:
        try:
            return wandb.init(mode=mode, **arguments)
        except Exception as error:
            if mode not in WEAKER or isinstance(error, WRONG):
                raise
            mode, what = WEAKER[mode]
            warnings.warn(f"W&B could not begin ({error}): {what}", stacklevel=3)
            wandb.teardown()  # its service holds the run that it could not begin


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
