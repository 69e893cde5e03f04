"""What labels show together: classes that none holds, and labels without a class."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from denseup.data.checking.survey import Found, Survey, histogram
from denseup.data.reading.decoding import Array
from denseup.data.reading.label_coding import IGNORE_INDEX, LabelCoding

LOSSY = (".jpg", ".jpeg")


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

    def merge(self, other: Survey) -> None:
        """See `Survey`."""
        assert isinstance(other, LabelSurvey)
        self.counts += other.counts
        self.labels += other.labels
        self.lossy.merge(other.lossy)
        self.void.merge(other.void)

    def together(self) -> list[str]:
        """See `Survey`."""
        return [self._missing()] if self.missing.size and self.counts[:IGNORE_INDEX].any() else []

    def suspects(self) -> list[tuple[Path, str]]:
        """See `Survey`."""
        lossy = "a label in a JPEG file, which alters values along every edge"
        return self.void.each(f"a label without a class, every pixel {IGNORE_INDEX} (ignored)") + self.lossy.each(lossy)

    def warnings(self) -> list[str]:
        """See `Survey`."""
        lines = self.together()
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
