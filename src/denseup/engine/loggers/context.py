"""What a logger is told about the run that it logs."""

import hashlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, runtime_checkable


@dataclass(frozen=True)
class RunContext:
    """The run that a logger logs.

    Attributes:
        folder: of the run; what a logger writes goes into it.
        config: of the run, for loggers that show it.
        job_type: "train" or "eval".
        id: the same for a repeated command, which finds its run again by it.
        resumed_at: step of the checkpoint that the run goes on from: what was logged before it is kept. None starts
            from nothing.
        logged: what `CheckpointedLogger`s had put into the checkpoint.
    """

    folder: Path
    config: dict[str, Any] = field(default_factory=dict)
    job_type: str = "train"
    id: str = ""
    resumed_at: int | None = None
    logged: dict[str, Any] = field(default_factory=dict)


@runtime_checkable
class CheckpointedLogger(Protocol):
    """A logger that puts something into checkpoints, so that nothing is lost or logged twice by a run that goes on."""

    def logged(self) -> dict[str, Any]:
        """Plain values under names of its own; asked for after `save`."""


def run_id(*names: str) -> str:
    """The id of a run: the same for the same names, such as its job type, config hash and folder."""
    return hashlib.sha256("/".join(names).encode()).hexdigest()[:16]
