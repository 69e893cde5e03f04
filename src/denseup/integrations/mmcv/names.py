"""`mmcv.ops.carafe` and its relatives, where mmcv has no kernel for them.

mmcv-lite brings no compiled operators, so `mmcv.ops` cannot be imported. A module of that name then takes its place
that has the CARAFE names alone: every other name is the ModuleNotFoundError that it is without us, so that code which
asks for an operator and does without it goes on doing so. Of a compiled mmcv, whose modules look the two functions up
by name, these are replaced by ours, which hand to mmcv's kernels what these can do.
"""

import sys
import warnings
from importlib import import_module
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any

import mmcv

from denseup.integrations.mmcv import reassembly as ours

FUNCTIONS = ("carafe", "carafe_naive")
LAYERS = ("CARAFE", "CARAFENaive", "CARAFEPack")


def serve_mmcv_ops() -> None:
    """Put our functions behind mmcv's names."""
    try:
        import_module("mmcv.ops")
    except ModuleNotFoundError as error:
        if error.name not in ("mmcv.ops", "mmcv._ext"):
            raise
        _stand_in()
    except (ImportError, OSError) as error:  # compiled for another torch
        warnings.warn(f"mmcv.ops cannot be imported and is left alone: {error}", stacklevel=3)
    else:
        _put(FUNCTIONS)


def _put(names: tuple[str, ...]) -> None:
    """Into the package and into the module of that operator."""
    for module in ("mmcv.ops", "mmcv.ops.carafe"):
        for name in names:
            setattr(sys.modules[module], name, getattr(ours, name))


def _stand_in() -> None:
    """`mmcv.ops` for mmcv-lite."""
    folder = str(Path(mmcv.__path__[0], "ops"))
    for name in ("mmcv.ops", "mmcv.ops.carafe"):
        module = ModuleType(name, "CARAFE of denseup, where mmcv has no compiled operators.")
        module.__spec__ = ModuleSpec(name, None, is_package=name == "mmcv.ops")
        module.__package__ = "mmcv.ops"
        module.__getattr__ = _missing  # type: ignore[method-assign]
        sys.modules[name] = module
    sys.modules["mmcv.ops"].__path__ = [folder]
    mmcv.ops = sys.modules["mmcv.ops"]
    _put(FUNCTIONS + LAYERS)


def _missing(name: str) -> Any:
    if name.startswith("__"):
        raise AttributeError(name)
    raise ModuleNotFoundError(
        f"No module named 'mmcv._ext': mmcv-lite has no {name!r} (denseup serves {', '.join(FUNCTIONS + LAYERS)})",
        name="mmcv._ext",
    )
