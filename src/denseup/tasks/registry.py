"""Names of tasks → their classes."""

from typing import TypeVar

from denseup.tasks.base import DenseTask

_REGISTRY: dict[str, type[DenseTask]] = {}
T = TypeVar("T", bound=type[DenseTask])


def register_task(task: T) -> T:
    """Class decorator: make a task known by its name to the report of old runs, the dashboard and the cost table.

    A task outside of this package is known once its module is imported, as the `_target_` of its config does.

    Raises:
        ValueError: the name is taken by another class.
    """
    if _REGISTRY.get(task.name, task) is not task:
        raise ValueError(f"a task named {task.name!r} is registered already: {_REGISTRY[task.name]}")
    _REGISTRY[task.name] = task
    return task


def find_task(name: str) -> type[DenseTask]:
    """The class of a task.

    Raises:
        ValueError: unknown name; the message lists all.
    """
    if name not in _REGISTRY:
        raise ValueError(f"task is {name!r}, valid: {', '.join(list_tasks())}")
    return _REGISTRY[name]


def list_tasks() -> list[str]:
    """All registered names, sorted."""
    return sorted(_REGISTRY)
