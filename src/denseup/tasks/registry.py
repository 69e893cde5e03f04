"""Names of tasks → their classes."""

from typing import TypeVar, cast

from denseup.registry import Registry
from denseup.tasks.base import DenseTask

TASKS: Registry[DenseTask] = Registry("task")
T = TypeVar("T", bound=type[DenseTask])


def register_task(task: T) -> T:
    """Class decorator: make a task known by its name to the report of old runs, the dashboard and the cost table.

    A task outside of this package is known once its module is imported, as the `_target_` of its config does.

    Raises:
        ValueError: the name is taken by another class.
    """
    return TASKS.register(task.name)(task)


def find_task(name: str) -> type[DenseTask]:
    """The class of a task.

    Raises:
        ValueError: unknown name; the message gives the nearest one and lists all.
    """
    return cast(type[DenseTask], TASKS.find(name))


def list_tasks() -> list[str]:
    """All registered names, sorted."""
    return TASKS.names()
