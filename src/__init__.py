"""Entry points of a clone (`python -m src.train`); the library itself is `denseup`.

The library beside this file is imported under its installed name here, before any entry point runs, so that a clone
never mixes with another denseup installed elsewhere. The folder is on `sys.path` only for that import: its other
modules (`train`, `evaluate`, ...) must not become importable as top-level names.
"""

import sys
from pathlib import Path

_HERE = str(Path(__file__).resolve().parent)

sys.path.insert(0, _HERE)
try:
    import denseup
finally:
    sys.path.remove(_HERE)

if Path(denseup.__file__).resolve().parent.parent != Path(_HERE):
    raise ImportError(f"denseup was already imported from {denseup.__file__}, not from this clone ({_HERE})")
