"""Facts about tasks: one module a task in a package, by the name of the task."""

import importlib
import pkgutil
from types import ModuleType


def module_of(package: str, task: str) -> ModuleType | None:
    """The module of a package that goes by the name of a task; None where there is none."""
    modules = pkgutil.iter_modules(importlib.import_module(package).__path__)
    if task not in {module.name for module in modules}:
        return None
    return importlib.import_module(f"{package}.{task}")
