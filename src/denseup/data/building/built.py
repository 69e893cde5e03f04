"""What became of a file that was to be made."""

from pathlib import Path
from typing import NamedTuple


class Built(NamedTuple):
    """A file's status: "built", "kept" (it was there already) or "failed", with the reason."""

    target: Path
    status: str
    reason: str = ""
