"""What names a run."""

from dataclasses import dataclass, field
from typing import Any

from denseup.engine.folder import config_hash
from denseup.environment import versions


@dataclass
class RunInfo:
    """The combination that a run trains and everything it was configured with."""

    task: str
    upsampler: str
    seed: int
    config: dict[str, Any]
    logger: dict[str, Any] = field(default_factory=dict)
    """Name → options of each logger: what conf/logger says."""

    def describe(self) -> dict[str, Any]:
        """The entries that start every result.json."""
        return {
            "task": self.task,
            "upsampler": self.upsampler,
            "seed": self.seed,
            "config_hash": config_hash(self.config),
            "versions": versions(),
        }
