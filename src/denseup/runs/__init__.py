"""One run from start to finish: its folder, loggers, progress, training, evaluation and result."""

from denseup.runs.evaluation import evaluate
from denseup.runs.folder import RunFolder
from denseup.runs.training import train

__all__ = ["RunFolder", "evaluate", "train"]
