"""What the numbers and colours of label files mean."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from denseup.data.reading.decoding import Array, DataError
from denseup.data.reading.levels import some

IGNORE_INDEX = 255
MAX_VALUE = 65535


@dataclass(frozen=True)
class LabelCoding:
    """How file values become classes 0 … num_classes - 1 and 255, which is ignored.

    - label_values: file value → class (or 255); a value that it names is settled by it
    - ignore_labels: file values that become 255
    - reduce_zero_label: other values: 0 becomes 255, and the classes are one lower than in the file (ADE20K)
    - class_values: the file values of classes 0, 1, …; a value that neither it nor the options above name is an error
    - label_colours: RGB triples; a pixel of the i-th colour has the file value i (and a palette counts by its colours)

    Raises `ValueError` for options that contradict each other.
    """

    num_classes: int
    reduce_zero_label: bool = False
    ignore_labels: tuple[int, ...] = ()
    label_values: Mapping[int, int] = field(default_factory=dict)
    label_colours: Sequence[Sequence[int]] = ()
    class_values: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        # Hydra hands over its own containers, whose keys may be strings.
        values = {int(value): int(label) for value, label in self.label_values.items()}
        colours = tuple(tuple(int(part) for part in colour) for colour in self.label_colours)
        ignored = tuple(int(value) for value in self.ignore_labels)
        for name, value in (("label_values", values), ("label_colours", colours), ("ignore_labels", ignored)):
            object.__setattr__(self, name, value)
        wrong = sorted({label for label in values.values() if not (0 <= label < self.num_classes or label == 255)})
        if wrong:
            raise ValueError(
                f"label_values={values}: found the classes {some(np.array(wrong))}; expected file values mapped to "
                f"0..{self.num_classes - 1} (num_classes={self.num_classes}) or {IGNORE_INDEX} (ignored)"
            )
        both = sorted(set(values) & set(ignored))
        if both:
            raise ValueError(f"label_values and ignore_labels: both name the file values {some(np.array(both))}")
        if any(len(colour) != 3 or not all(0 <= part <= 255 for part in colour) for colour in colours):
            raise ValueError(f"label_colours={colours}: expected triples [r, g, b] of 0..255")
        if len(set(colours)) < len(colours):
            raise ValueError(f"label_colours={colours}: expected a colour once only")
        self._check_class_values()

    def _check_class_values(self) -> None:
        values = tuple(int(value) for value in self.class_values)
        object.__setattr__(self, "class_values", values)
        if values and len(values) != self.num_classes:
            raise ValueError(f"class_values: found {len(values)} file values; expected num_classes={self.num_classes}")
        if values and self.reduce_zero_label:
            raise ValueError("class_values and reduce_zero_label: both say what values mean; expected one of them")
        elsewhere = Counter([*self.label_values, *self.ignore_labels])
        twice = sorted(value for value, count in Counter(values).items() if count + elsewhere[value] > 1)
        if twice:
            raise ValueError(
                f"class_values: the file values {some(np.array(twice))} are named twice, there or also in label_values "
                "or ignore_labels; expected each once"
            )

    @property
    def says_ignored(self) -> bool:
        """Whether the user has said what 255 means."""
        return IGNORE_INDEX in self.ignore_labels or IGNORE_INDEX in self.label_values or bool(self.label_colours)

    def classes(self, values: Array, path: Path) -> Array:
        """uint8 classes of integer file values of any shape; a `DataError` naming `path` for values without one."""
        if values.dtype.kind not in "biu":
            raise DataError(f"{path}: found values of {values.dtype}; expected class indices, which are integers")
        if values.min() < 0 or values.max() > MAX_VALUE:
            raise self._stray(path, np.unique(values[(values < 0) | (values > MAX_VALUE)]))
        found = np.flatnonzero(np.bincount(values.ravel()))
        table = np.zeros(found[-1] + 1, np.int64)
        table[found] = [self._class_of(value) for value in found.tolist()]
        stray = found[(table[found] < 0) | ((table[found] >= self.num_classes) & (table[found] != IGNORE_INDEX))]
        if stray.size:
            raise self._stray(path, stray)
        return table.astype(np.uint8)[values]

    def file_values(self) -> Array:
        """What stands for each class in a file, int64 [num_classes]: read again, it is the class.

        A value that `label_values` names goes before one that needs no naming; of several the smallest.

        Raises:
            ValueError: no file value stands for a class.
        """
        said: dict[int, int] = {}
        for value, label in sorted(self.label_values.items(), reverse=True):
            said[label] = value
        shift = 1 if self.reduce_zero_label else 0
        values = [said.get(label, label + shift) for label in range(self.num_classes)]
        if lost := [label for label, value in enumerate(values) if self._class_of(value) != label]:
            raise ValueError(f"no file value stands for the classes {some(np.array(lost))}: label_values may name one")
        return np.array(values, np.int64)

    def find_colours(self, colours: Array, path: Path) -> Array:
        """The indices in `label_colours` of uint8 [H, W, 3] colours; a `DataError` for one that is not there."""
        codes = colours @ np.array([65536, 256, 1])
        known = np.array(self.label_colours) @ np.array([65536, 256, 1])
        order = np.argsort(known)
        place = order[np.searchsorted(known, codes, sorter=order).clip(max=len(known) - 1)]
        stray = np.unique(codes[known[place] != codes])
        if stray.size:
            shown = ", ".join(str([int(c) >> 16, int(c) >> 8 & 255, int(c) & 255]) for c in stray[:4])
            raise DataError(f"{path}: found {stray.size} colours that label_colours does not name, such as {shown}")
        return place

    def _class_of(self, value: int) -> int:
        if value in self.label_values:
            return self.label_values[value]
        if value in self.class_values:
            return self.class_values.index(value)
        if value in self.ignore_labels or value == IGNORE_INDEX:
            return IGNORE_INDEX
        if self.class_values:
            return MAX_VALUE
        lowered = value - 1 if self.reduce_zero_label else value
        return IGNORE_INDEX if lowered < 0 else lowered if lowered != IGNORE_INDEX else MAX_VALUE

    def _stray(self, path: Path, values: Array) -> DataError:
        shift = " before reduce_zero_label" if self.reduce_zero_label else ""
        if self.class_values:
            more = ",".join(map(str, [*self.ignore_labels, int(values[0])]))
            return DataError(
                f"{path}: found labels {some(values)}; expected those of class_values, "
                f"{some(np.array(self.class_values))}, or {IGNORE_INDEX} (ignored). Others are said by label_values "
                f"or ignore_labels, as in 'data.ignore_labels=[{more}]'"
            )
        return DataError(
            f"{path}: found labels {some(values)}{shift}; expected 0..{self.num_classes - 1} "
            f"(num_classes={self.num_classes}) or {IGNORE_INDEX} (ignored). Other values are said by label_values, as "
            f"in 'data.label_values={{{int(values[0])}: 1}}', or by ignore_labels"
        )
