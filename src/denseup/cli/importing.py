"""Imports of a command that a person waits for: without what they do for nobody."""

import gc
import importlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from importlib.metadata import PackageNotFoundError
from importlib.util import find_spec
from typing import Any

UNUSED = ("matplotlib", "scipy", "transformers")
"""Packages that torchmetrics imports wherever they are installed, for metrics and plots that no run asks it for."""


@contextmanager
def quick_imports() -> Iterator[None]:
    """Import Lightning in well under half of its time (`benchmarks/startup.py`), where it is not imported yet.

    The garbage collector rests meanwhile, for it goes through everything again and again while nothing is garbage, and
    torchmetrics does not find `UNUSED`. Whoever imports those afterwards gets them, only torchmetrics goes on without
    them: this is for the processes of our own commands, which make no use of them there.
    """
    if "pytorch_lightning" in sys.modules:
        yield
        return
    collected = gc.isenabled()
    gc.disable()
    try:
        with _unseen(UNUSED):
            yield
    finally:
        gc.freeze()
        if collected:
            gc.enable()


@contextmanager
def _unseen(packages: tuple[str, ...]) -> Iterator[None]:
    """Keep some packages from the checks that Lightning and torchmetrics make, when imported, of what is installed."""
    from unittest.mock import patch

    checks: Any = importlib.import_module("lightning_utilities.core.imports")

    def version(name: str) -> str:
        if name in packages:
            raise PackageNotFoundError(name)
        return importlib.metadata.version(name)

    def spec(name: str, package: str | None = None) -> Any:
        return None if name in packages else find_spec(name, package)

    replaced: dict[str, Any] = {"_version": version, "find_spec": spec}
    replaced = {name: new for name, new in replaced.items() if hasattr(checks, name)}
    with patch.multiple(checks, **replaced) if replaced else nullcontext():
        yield
    for cached in (checks.package_available, checks.module_available):
        cached.cache_clear()
