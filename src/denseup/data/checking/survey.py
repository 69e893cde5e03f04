"""What files that are each sound may show together: the base of what looks, and orientation tags that differ."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np

from denseup.data.reading.decoding import Array


class Survey:
    """Sees the groups of files of a data set one after another; this one finds nothing in them."""

    def add(self, paths: list[Path], arrays: Mapping[Path, Array], orientations: Mapping[Path, int]) -> None:
        """Look at a group: its paths in their order, and arrays and orientation tags of those that could be read."""

    def merge(self, other: "Survey") -> None:
        """Take up what another survey of this kind, of groups that come later, has seen."""

    def warnings(self) -> list[str]:
        """What should be known before training, a line each."""
        return []

    def together(self) -> list[str]:
        """Those warnings that no file alone shows."""
        return []

    def suspects(self) -> list[tuple[Path, str]]:
        """Every file that `warnings` counts, with what is suspicious about it."""
        return []

    def problems(self, surveys: Sequence["Survey"]) -> list[str]:
        """What makes training senseless, given the surveys of all splits, this one among them."""
        return []


class OrientationSurvey(Survey):
    """Looks for files of one group whose tags differ while their sizes agree turned and as stored."""

    def __init__(self) -> None:
        self.groups, self.unclear = 0, Found()

    def add(self, paths: list[Path], arrays: Mapping[Path, Array], orientations: Mapping[Path, int]) -> None:
        """See `Survey`."""
        sizes = {_stored(array.shape[:2], orientations[path]) for path, array in arrays.items()}
        unclear = len(set(orientations.values())) > 1 and len(sizes) == 1
        self.groups += 1
        self.unclear.note(next((path for path in paths if orientations.get(path, 1) != 1), paths[0]), unclear)

    def merge(self, other: Survey) -> None:
        """See `Survey`."""
        assert isinstance(other, OrientationSurvey)
        self.groups += other.groups
        self.unclear.merge(other.unclear)

    def suspects(self) -> list[tuple[Path, str]]:
        """See `Survey`."""
        return self.unclear.each("an orientation tag that the partner has not, where sizes do not tell which is right")

    def warnings(self) -> list[str]:
        """See `Survey`."""
        if not self.unclear.count:
            return []
        return [
            "samples with an orientation tag that the partner has not, whose sizes do not tell which way they belong "
            f"together: {self.unclear.of(self.groups)}. Each file is turned by its own tag; "
            "data.apply_orientation=false takes all as stored"
        ]


class Found:
    """The files something was found in."""

    def __init__(self) -> None:
        self.paths: list[Path] = []

    @property
    def count(self) -> int:
        """How many they are."""
        return len(self.paths)

    def note(self, path: Path, found: bool) -> None:
        """Count the file if `found`."""
        if found:
            self.paths.append(path)

    def merge(self, other: "Found") -> None:
        """Count those of another one too."""
        self.paths += other.paths

    def each(self, what: str) -> list[tuple[Path, str]]:
        """Every file with what was found."""
        return [(path, what) for path in self.paths]

    def of(self, total: int) -> str:
        """The number beside the number of all, with the first as an example."""
        return f"{self.count} of {total}, such as {self.paths[0]}"


def histogram(array: Array) -> Array:
    """How often each of the 256 values of a uint8 [H, W] occurs, to seven digits."""
    return cv2.calcHist([array], [0], None, [256], [0, 256]).ravel().astype(np.float64)


def _stored(size: tuple[int, ...], orientation: int) -> tuple[int, ...]:
    return size[::-1] if orientation >= 5 else size
