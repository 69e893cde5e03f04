"""What files that are each sound may show together: classes that no label holds, images without an unknown region."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np

from denseup.data.reading.decoding import Array
from denseup.data.reading.label_coding import IGNORE_INDEX, LabelCoding

LOSSY = (".jpg", ".jpeg")
UNKNOWN, OPAQUE = 128, 255
# Discs of this diameter and more leave unknown pixels along every edge, see `compositing.trimap_from_alpha`.
LEAST_OPENING = 3


class Survey:
    """Sees the groups of files of a data set one after another; this one finds nothing in them."""

    def add(self, paths: list[Path], arrays: Mapping[Path, Array], orientations: Mapping[Path, int]) -> None:
        """Look at a group: its paths in their order, and arrays and orientation tags of those that could be read."""

    def warnings(self) -> list[str]:
        """What should be known before training, a line each."""
        return []

    def problems(self, surveys: Sequence["Survey"]) -> list[str]:
        """What makes training senseless, given the surveys of all splits, this one among them."""
        return []


class LabelSurvey(Survey):
    """Counts the classes of (image, label) groups."""

    def __init__(self, coding: LabelCoding, class_names: Sequence[str]) -> None:
        self.coding, self.class_names = coding, class_names
        self.counts = np.zeros(IGNORE_INDEX + 1)
        self.labels, self.lossy, self.void = 0, Found(), Found()

    def add(self, paths: list[Path], arrays: Mapping[Path, Array], orientations: Mapping[Path, int]) -> None:
        """See `Survey`."""
        if paths[1] not in arrays:
            return
        counts = histogram(arrays[paths[1]])
        self.counts += counts
        self.labels += 1
        self.lossy.note(paths[1], paths[1].suffix.lower() in LOSSY)
        self.void.note(paths[1], not counts[:IGNORE_INDEX].any())

    def warnings(self) -> list[str]:
        """See `Survey`."""
        lines = [self._missing()] if self.missing.size and self.counts[:IGNORE_INDEX].any() else []
        if self.void.count:
            lines.append(f"labels without a class, every pixel {IGNORE_INDEX} (ignored): {self.void.of(self.labels)}")
        if self.lossy.count:
            lines.append(f"labels in JPEG files, which alter values along every edge: {self.lossy.of(self.labels)}")
        return lines

    def problems(self, surveys: Sequence[Survey]) -> list[str]:
        """Labels of 0 and 255 for two classes: 255 is ignored, so that nothing is left to tell apart."""
        counts = sum(
            (survey.counts for survey in surveys if isinstance(survey, LabelSurvey)), np.zeros_like(self.counts)
        )
        seen = np.flatnonzero(counts[:IGNORE_INDEX])
        if self.coding.num_classes != 2 or self.coding.says_ignored or seen.size != 1 or not counts[IGNORE_INDEX]:
            return []
        other = 1 - int(seen[0])
        return [
            f"labels: found class {seen[0]} and {IGNORE_INDEX} (ignored, {self._ignored(counts)}) alone, with "
            f"num_classes=2. If {IGNORE_INDEX} is class {other}, say 'data.label_values={{{IGNORE_INDEX}: {other}}}'; "
            f"if it is to be ignored, data.ignore_labels=[{IGNORE_INDEX}]"
        ]

    @property
    def missing(self) -> Array:
        """The classes that no label holds."""
        return np.flatnonzero(self.counts[: self.coding.num_classes] == 0)

    def _missing(self) -> str:
        classes = ", ".join(f"{index} ({self.class_names[index]})" for index in self.missing)
        line = f"found no pixel of class {classes} in the {self.labels} labels read"
        if self.missing.size == 1 and self.counts[IGNORE_INDEX] and not self.coding.says_ignored:
            value = self.missing[0]
            line += f"; {self._ignored(self.counts)} are {IGNORE_INDEX} (ignored): if that is class {value}, say "
            line += f"'data.label_values={{{IGNORE_INDEX}: {value}}}'"
        return line

    @staticmethod
    def _ignored(counts: Array) -> str:
        return f"{100 * counts[IGNORE_INDEX] / counts.sum():.3g} % of the pixels"


class MattingSurvey(Survey):
    """Looks at the mattes, and trimaps if there are any, of (image, alpha[, trimap]) and of cut-outs with alpha.

    `trimap_width` is that of trimaps which will be made from the mattes; None: the widths of training.
    """

    def __init__(self, trimap_width: float | None = None) -> None:
        self.width = LEAST_OPENING if trimap_width is None else trimap_width
        self.mattes, self.highest = 0, 0
        self.known, self.hard = Found(), Found()

    def add(self, paths: list[Path], arrays: Mapping[Path, Array], orientations: Mapping[Path, int]) -> None:
        """See `Survey`."""
        alpha = self._alpha(paths, arrays)
        if alpha is None:
            return
        counts = histogram(alpha)
        soft = counts[1:OPAQUE].any()
        unknown = soft or (counts[0] and counts[OPAQUE] and self.width >= LEAST_OPENING)
        if len(paths) > 2 and paths[2] in arrays:
            unknown = (arrays[paths[2]] == UNKNOWN).any()
        self.mattes += 1
        self.highest = max(self.highest, int(np.flatnonzero(counts)[-1]))
        self.hard.note(paths[min(len(paths) - 1, 1)], not soft)
        self.known.note(paths[0], not unknown)

    def warnings(self) -> list[str]:
        """See `Survey`."""
        lines = []
        if self.known.count:
            lines.append(f"images without an unknown region, which count for nothing: {self.known.of(self.mattes)}")
        if self.hard.count:
            lines.append(f"mattes without a value between transparent and opaque: {self.hard.of(self.mattes)}")
        if 0 < self.highest <= UNKNOWN:
            lines.append(
                f"the largest alpha of all {self.mattes} mattes is {self.highest} of {OPAQUE}. If that means opaque, "
                f"say data.alpha_max (in 8 bits: data.alpha_max={self.highest})"
            )
        return lines

    @staticmethod
    def _alpha(paths: list[Path], arrays: Mapping[Path, Array]) -> Array | None:
        if len(paths) > 1:
            return arrays.get(paths[1])
        cutout = arrays.get(paths[0])
        return np.ascontiguousarray(cutout[..., 3]) if cutout is not None and cutout.shape[2] == 4 else None


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
    """How many files something was found in, and the first of them."""

    def __init__(self) -> None:
        self.count, self.first = 0, Path()

    def note(self, path: Path, found: bool) -> None:
        """Count the file if `found`."""
        if found and not self.count:
            self.first = path
        self.count += bool(found)

    def of(self, total: int) -> str:
        """The number beside the number of all, with the first as an example."""
        return f"{self.count} of {total}, such as {self.first}"


def histogram(array: Array) -> Array:
    """How often each of the 256 values of a uint8 [H, W] occurs, to seven digits."""
    return cv2.calcHist([array], [0], None, [256], [0, 256]).ravel().astype(np.float64)


def _stored(size: tuple[int, ...], orientation: int) -> tuple[int, ...]:
    return size[::-1] if orientation >= 5 else size
