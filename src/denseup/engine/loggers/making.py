"""The loggers of a run, made of what conf/logger says, and what all of them are told at once."""

import inspect
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import Any

from pytorch_lightning.loggers import Logger

from denseup.engine.loggers.adapters import ADAPTERS, Picture, Row
from denseup.engine.loggers.context import RunContext
from denseup.engine.quiet import only_printed


def make_loggers(run: RunContext, chosen: Mapping[str, Mapping[str, Any] | None]) -> list[Logger]:
    """The loggers of one run.

    Args:
        run: what is logged.
        chosen: name → options, with the class or function that makes the logger as `_target_`; nothing for none. An
            argument `run` gets the run, and an argument `save_dir` that is not given gets its folder.

    Raises:
        ValueError: options without a `_target_`, or one that cannot be imported.
    """
    loggers = [_make(name, dict(options), run) for name, options in chosen.items() if options]
    for logger in loggers:
        setattr(logger, "finalize", _only_printing(logger))  # noqa: B010  # which Lightning calls too, after a training
        ADAPTERS.of(logger)  # from here on a logger's failure is no end of the run, but for metrics.csv
    return loggers


def finish_loggers(loggers: Sequence[Logger], exit_code: int) -> None:
    """Close every logger."""
    for logger in loggers:
        ADAPTERS.of(logger).guard.close()
        ADAPTERS.of(logger).finish(exit_code)


def notes(loggers: Sequence[Logger]) -> list[str]:
    """Where to find the run, for the person at the terminal. Ask before the loggers are finished."""
    found = [ADAPTERS.of(logger).note() for logger in loggers]
    return [note for note in found if note]


def log_image(loggers: Sequence[Logger], name: str, image: Picture, step: int) -> None:
    """Send a picture `[H, W, 3]` to the loggers that show pictures."""
    for logger in loggers:
        ADAPTERS.of(logger).guard(ADAPTERS.of(logger).image, name, image, step)


def log_table(loggers: Sequence[Logger], name: str, rows: Sequence[Row]) -> None:
    """Send rows with the same keys to the loggers that show tables."""
    for logger in loggers:
        if rows:
            ADAPTERS.of(logger).guard(ADAPTERS.of(logger).table, name, rows)


def log_summary(loggers: Sequence[Logger], values: Mapping[str, Any]) -> None:
    """Put values into what stands for the run in a table of runs."""
    for logger in loggers:
        ADAPTERS.of(logger).guard(ADAPTERS.of(logger).summary, values)


def _make(name: str, options: dict[str, Any], run: RunContext) -> Logger:
    build = _located(name, options.pop("_target_", None))
    parameters = inspect.signature(build).parameters
    if "run" in parameters:
        return build(run=run, **options)
    if "save_dir" in parameters:
        options.setdefault("save_dir", str(run.folder))
    logger = build(**options)
    logger.log_hyperparams(run.config)
    return logger


def _located(name: str, target: str | None) -> Callable[..., Logger]:
    """What a dotted name means."""
    if not target:
        raise ValueError(f"logger.{name} has no _target_, expected the class that makes it; see conf/logger")
    module, _, attribute = target.rpartition(".")
    try:
        build: Callable[..., Logger] = getattr(import_module(module), attribute)
    except (ImportError, AttributeError, ValueError) as error:
        raise ValueError(f"logger.{name}._target_ is {target!r}, which cannot be imported: {error}") from error
    return build


def _only_printing(logger: Logger) -> Callable[[str], None]:
    """A logger's `finalize` whose error is printed: it comes after the work, and is no reason to lose it."""
    close = logger.finalize

    def finalize(status: str) -> None:
        with only_printed(f"closing {type(logger).__name__}"):
            close(status)

    return finalize
