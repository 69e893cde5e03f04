"""The embedded demo set: which files it has, their class, split, licence and source (`manifest.csv`)."""

import csv
from dataclasses import dataclass
from pathlib import Path

from denseup.data.reading.files import DataError, inside

DEMO_ROOT = Path(__file__).parent
DEMO_CLASSES = ("background", "fur", "leafy", "bare")
MANIFEST = "manifest.csv"
SPLITS = ("train", "val")


@dataclass(frozen=True)
class DemoFile:
    """One line of the manifest; `path` is absolute, `class_name` empty for a background."""

    path: Path
    kind: str
    class_name: str
    split: str
    licence: str
    author: str
    source: str
    sha256: str

    @property
    def class_index(self) -> int:
        """Index in `DEMO_CLASSES`; 0 for a background."""
        return DEMO_CLASSES.index(self.class_name or "background")


def read_manifest(root: Path = DEMO_ROOT) -> list[DemoFile]:
    """All files of the demo set, in the manifest's order.

    Raises `DataError` when the manifest is missing, or names a file that does not lie below `root`.
    """
    manifest = root / MANIFEST
    if not manifest.is_file():
        raise DataError(f"{manifest}: no such file; expected the manifest of the demo set")
    with manifest.open(newline="", encoding="utf-8") as stream:
        return [_entry(root, row) for row in csv.DictReader(stream)]


def demo_files(kind: str, split: str) -> list[DemoFile]:
    """The demo files of a kind ("foreground" or "background") and split ("train" or "val").

    Foregrounds come with the classes taking turns, so that the first few already hold all of them.
    """
    if split not in SPLITS:
        raise ValueError(f"split={split!r}: expected one of {', '.join(SPLITS)}")
    files = [file for file in read_manifest() if (file.kind, file.split) == (kind, split)]
    turn: dict[str, int] = {}
    order = []
    for file in files:
        turn[file.class_name] = turn.get(file.class_name, -1) + 1
        order.append((turn[file.class_name], file.class_index, file))
    return [file for _, _, file in sorted(order, key=lambda entry: entry[:2])]


def _entry(root: Path, row: dict[str, str]) -> DemoFile:
    return DemoFile(
        path=inside(root, row["file"], root / MANIFEST),
        kind=row["kind"],
        class_name=row["class"],
        split=row["split"],
        licence=row["licence"],
        author=row["author"],
        source=row["source"],
        sha256=row["sha256"],
    )
