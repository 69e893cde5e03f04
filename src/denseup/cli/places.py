"""Where the package lies, and the config groups."""

from pathlib import Path

PACKAGE = Path(__file__).resolve().parent.parent
CONF = next(folder for folder in (PACKAGE / "conf", PACKAGE.parent.parent / "conf") if folder.is_dir())
"""In a wheel they are in the package, in a clone at the top."""

OFFICIAL = "official:"
"""Before the path of a file of the authors, where a checkpoint is asked for."""


def is_official(source: object) -> bool:
    """Whether `ckpt` says that it is a file of the authors."""
    return isinstance(source, str) and source.startswith(OFFICIAL)


def path_of(source: str) -> str:
    """The path in `ckpt`."""
    return source.removeprefix(OFFICIAL)
