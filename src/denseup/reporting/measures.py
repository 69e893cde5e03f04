"""What the report tells about a run: its metrics, their units and which way is better.

A run's own description counts. Runs of earlier versions have none: theirs is that of the registered task, and what
nobody has described goes by its key.
"""

from collections.abc import Iterator, Mapping, Sequence

from denseup.metrics import MetricInfo
from denseup.reporting.loading import TEST, Run
from denseup.tasks import find_task, list_tasks


class _OfTasks(Mapping[str, tuple[MetricInfo, ...]]):
    """A view of the registry."""

    def __getitem__(self, task: str) -> tuple[MetricInfo, ...]:
        if task not in list_tasks():
            raise KeyError(task)
        return find_task(task).metrics_class.values

    def __iter__(self) -> Iterator[str]:
        return iter(list_tasks())

    def __len__(self) -> int:
        return len(list_tasks())


MEASURES: Mapping[str, tuple[MetricInfo, ...]] = _OfTasks()
"""The metrics of each registered task; the first one stands for the task, and picks the best evaluation of a run."""


def measures(runs: Sequence[Run]) -> tuple[MetricInfo, ...]:
    """All that runs of one task measured; the first one picked their best evaluations."""
    found: dict[str, MetricInfo] = {}
    for run in runs:
        for info in run.measures or MEASURES.get(run.task, ()):
            found.setdefault(info.key, info)
    for run in runs:
        for key in sorted(run.best or run.metrics.get(TEST, {}), key=lambda key: key != run.monitor):
            if key != "step":
                mode = run.mode if key == run.monitor else None
                found.setdefault(key, MetricInfo.of_key(key, mode))
    return tuple(found.values())


def class_measures(runs: Sequence[Run]) -> tuple[MetricInfo, ...]:
    """The values that runs of one task have of each class."""
    found: dict[str, MetricInfo] = {}
    for run in runs:
        described = {info.key: info for info in (*_registered_of_classes(run.task), *run.class_measures)}
        for key in next(iter(run.class_values.values()), ()):
            found.setdefault(key, described.get(key, MetricInfo.of_key(key)))
    return tuple(found.values())


def _registered_of_classes(task: str) -> tuple[MetricInfo, ...]:
    return find_task(task).metrics_class.class_values if task in list_tasks() else ()
