"""What names a run."""

from dataclasses import dataclass, field
from typing import Any

from denseup.engine.folder import config_hash
from denseup.engine.masking import masked
from denseup.environment import versions


@dataclass
class RunInfo:
    """The combination that a run trains and everything it was configured with; keys in its config are masked."""

    task: str
    upsampler: str
    seed: int
    config: dict[str, Any]
    logger: dict[str, Any] = field(default_factory=dict)
    """Name → options of each logger: what conf/logger says, with the keys that it is given."""

    def __post_init__(self) -> None:
        self.config = masked(self.config)

    def describe(self) -> dict[str, Any]:
        """The entries that start every result.json."""
        return {
            "task": self.task,
            "upsampler": self.upsampler,
            "seed": self.seed,
            "config_hash": config_hash(self.config),
            "versions": versions(),
        }
