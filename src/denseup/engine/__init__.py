"""One run from start to finish: its folder, loggers, progress, training, evaluation and result.

What a run is, where it stands and what is in its folder (`info`, `state`, `folder`) is told without torch; `training`
and `evaluation` bring Lightning.
"""

from denseup.engine.folder import RunFolder

__all__ = ["RunFolder"]
