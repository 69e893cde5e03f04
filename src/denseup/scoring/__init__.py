"""The exact metrics on prediction files, of whatever tool: files matched by name, read, measured, added up."""

from collections.abc import Callable, Mapping
from typing import Any

from denseup.scoring.matting import MattingScorer
from denseup.scoring.scorer import Scored, Scorer, score
from denseup.scoring.segmentation import SegmentationScorer

__all__ = ["SCORERS", "Scored", "Scorer", "score", "scorer_of"]

SCORERS: dict[str, Callable[..., Scorer]] = {"matting": MattingScorer, "segmentation": SegmentationScorer}
"""Task → what reads and measures its files."""


def scorer_of(task: str, options: Mapping[str, Any]) -> Scorer:
    """What scores the files of a task.

    Raises:
        ValueError: a task whose files nobody reads, or an option that is none.
    """
    if task not in SCORERS:
        raise ValueError(f"task is {task!r}, whose prediction files can't be scored; valid: {', '.join(SCORERS)}")
    return SCORERS[task](**options)
