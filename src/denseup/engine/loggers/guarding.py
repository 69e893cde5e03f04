"""A logger that fails does not end a training: it says so once, and is tried again now and then."""

import sys
import time
from collections.abc import Callable
from typing import Any

from pytorch_lightning.loggers import CSVLogger, Logger

CALLS = ("log_metrics", "log_hyperparams", "log_graph", "save", "after_save_checkpoint")
"""What Lightning calls."""
PAUSE, SHARE = 60.0, 10.0
"""Seconds until a logger that failed is tried again: so many at least, and so many times what the failure took.

So a server that lets each call wait until it gives up costs a tenth of the time at most.
"""


class Guard:
    """Calls of one logger.

    Args:
        name: of the logger, for messages.
        clock: in seconds, never going back.
    """

    def __init__(self, name: str, clock: Callable[[], float] = time.monotonic) -> None:
        self.name, self.clock = name, clock
        self.lost = 0
        """Calls that came to nothing."""
        self._again: float | None = None

    def __call__(self, call: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
        """What a call gives; None if it fails, or a former one failed a moment ago."""
        if self._again is not None and self.clock() < self._again:
            self.lost += 1
            return None
        begun = self.clock()
        try:
            return call(*arguments, **options)
        except Exception as error:
            self._failed(error, self.clock() - begun)
            return None

    def close(self) -> None:
        """Say at the end what is missing there."""
        if self.lost:
            _say(f"{self.name} lacks what {self.lost} calls were to log; metrics.csv and result.json have it")

    def _failed(self, error: Exception, seconds: float) -> None:
        if not self.lost:
            _say(f"{self.name} failed, and the run goes on without it: {type(error).__name__}: {error}")
        self.lost += 1
        self._again = self.clock() + max(PAUSE, SHARE * seconds)


class NoGuard(Guard):
    """Of a logger whose failure is the run's."""

    def __call__(self, call: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
        """The call itself."""
        return call(*arguments, **options)


def guarded(logger: Logger) -> Guard:
    """Let what Lightning calls of a logger go through a guard; metrics.csv, a file of the run itself, has none."""
    name = type(logger).__name__
    if isinstance(logger, CSVLogger):
        return NoGuard(name)
    guard = Guard(name)
    for call in CALLS:
        if hasattr(logger, call):
            _guard(logger, call, guard)
    return guard


def _guard(logger: Logger, name: str, guard: Guard) -> None:
    call = getattr(logger, name)

    def guarded_call(*arguments: Any, **options: Any) -> Any:
        return guard(call, *arguments, **options)

    setattr(logger, name, guarded_call)


def _say(text: str) -> None:
    print(text, file=sys.stderr)
