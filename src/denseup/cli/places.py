"""Where the package lies, and the config groups."""

from pathlib import Path

PACKAGE = Path(__file__).resolve().parent.parent
CONF = next(folder for folder in (PACKAGE / "conf", PACKAGE.parent.parent / "conf") if folder.is_dir())
"""In a wheel they are in the package, in a clone at the top."""
