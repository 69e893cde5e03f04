"""Evaluation beyond one look at the whole image: windows and tiles, several views, corruptions; and what it writes.

`EvaluationSettings` says all of it; `denseup.engine.evaluation.evaluate` takes one.
"""

from denseup.evaluation.settings import EvaluationSettings
from denseup.evaluation.ways import Way

__all__ = ["EvaluationSettings", "Way"]
