"""What a logger is told about the run that it logs."""

import hashlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


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
        rows: of metrics.csv that the checkpoint counts; None where it does not.
    """

    folder: Path
    config: dict[str, Any] = field(default_factory=dict)
    job_type: str = "train"
    id: str = ""
    resumed_at: int | None = None
    rows: int | None = None


def run_id(*names: str) -> str:
    """The id of a run: the same for the same names, such as its job type, config hash and folder."""
    return hashlib.sha256("/".join(names).encode()).hexdigest()[:16]
