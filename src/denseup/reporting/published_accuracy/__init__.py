"""The published accuracy of the upsamplers, and what a reader has to know about it.

Lu et al., "FADE: A Task-Agnostic Upsampling Operator for Encoder-Decoder Architectures", IJCV 2024, arXiv:2407.13500,
in a module for each task. Nothing here was measured by this package, and nothing measured stands in a column with it.
"""

from collections.abc import Iterable

from denseup.profiling.by_task import module_of
from denseup.reporting.published_accuracy.facts import TaskAccuracy

__all__ = ["SOURCE", "TaskAccuracy", "published_accuracy", "published_notes", "published_value"]

SOURCE = "FADE, IJCV 2024, arXiv:2407.13500"


def published_accuracy(task: str) -> TaskAccuracy | None:
    """`ACCURACY` of the module that goes by the name of the task, None where there is none."""
    module = module_of(__name__, task)
    return None if module is None else module.ACCURACY


def published_value(task: str, upsampler: str, metric: str) -> str | None:
    """The value as printed, None where nothing was published."""
    table = published_accuracy(task)
    return None if table is None else table.value(upsampler, metric)


def published_notes(task: str, upsamplers: Iterable[str]) -> list[str]:
    """What has to be said beside the columns of published values; nothing where no upsampler has any."""
    table = published_accuracy(task)
    if table is None or not any(name in table.rows for name in upsamplers):
        return []
    return [f"Published columns: {table.settings}.", *table.caveats]
