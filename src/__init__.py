"""Entry points of a clone (`python -m src.train`); the library itself is `denseup`.

The library beside this file is the one that is imported as `denseup` from here on, wherever another is installed, so
that a clone never mixes with it. Nothing is imported yet, for the library brings torch; and the folder is not put on
`sys.path`, for its other modules (`train`, `evaluate`, ...) must not become importable as top-level names.
"""

import os
import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from types import ModuleType

_HERE = Path(__file__).resolve().parent


class _ClonesDenseup(MetaPathFinder):
    """Finds `denseup` in this folder alone; its parts are found in the package, as always."""

    @classmethod
    def find_spec(
        cls, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """The package beside this file if that is asked for, else None."""
        return PathFinder.find_spec(fullname, [str(_HERE)]) if fullname == "denseup" else None


_imported = sys.modules.get("denseup")
if _imported is not None and Path(str(_imported.__file__)).resolve().parent.parent != _HERE:
    raise ImportError(f"denseup was already imported from {_imported.__file__}, not from this clone ({_HERE})")
sys.meta_path.insert(0, _ClonesDenseup())
os.environ["DENSEUP_CLONE"] = str(_HERE.parent)  # for the processes of a sweep: `denseup.cli.sweep`
