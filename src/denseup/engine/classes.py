"""What result.json says of single classes."""

from collections.abc import Mapping
from typing import Any

from denseup.tasks import DenseTask


def class_entries(task: DenseTask, values: Mapping[str, Mapping[str, list[float]]]) -> dict[str, Any]:
    """The entries class_names (else numbers) and per_class; {} for a task that has no values of classes.

    Args:
        task: whose classes they are.
        values: evaluation → metric → value of each class.
    """
    found = next((by_metric for by_metric in values.values() if by_metric), None)
    if found is None:
        return {}
    names = getattr(task, "class_names", None) or range(len(next(iter(found.values()))))
    return {"class_names": [str(name) for name in names], "per_class": dict(values)}
