"""The tasks as Lightning modules: a network with its loss, optimisation, whole-image evaluation and metrics.

Every module of this package is imported here, so that a task put beside these registers itself. One that lives
elsewhere is known once it is imported.
"""

import importlib
import pkgutil

from denseup.tasks.base import DenseTask
from denseup.tasks.matting import MattingTask
from denseup.tasks.registry import find_task, list_tasks, register_task
from denseup.tasks.segmentation import SegmentationTask

__all__ = ["DenseTask", "MattingTask", "SegmentationTask", "find_task", "list_tasks", "register_task"]

for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_module.name}")
