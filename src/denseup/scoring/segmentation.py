"""Label maps: mIoU, mAcc, aAcc and boundary IoU from areas added up over all images, and of each class."""

from collections.abc import Mapping, Sequence
from functools import partial

import numpy as np

from denseup.data.reading.decoding import DataError
from denseup.data.reading.label_coding import IGNORE_INDEX, LabelCoding
from denseup.data.reading.samples import check_same_size, read_coded_label
from denseup.metrics import SegmentationMetrics
from denseup.scoring.matching import Group
from denseup.scoring.scorer import read

IN_PREDICTIONS = {
    "label_values": "prediction_values",
    "label_colours": "prediction_colours",
    "reduce_zero_label": "prediction_reduce_zero_label",
    "ignore_labels": "prediction_values",
}


class SegmentationScorer:
    """Files of label maps; the options are those of a data set's labels, see `LabelCoding`.

    Args:
        num_classes: None: one more than the largest class in the truth.
        ignore_index: a value of the truth that does not count, beside 255, which never does.
        ignore_labels: further ones.
        reduce_zero_label: in the truth 0 is ignored, and class 0 is stored as 1.
        label_values: file values of the truth → classes, or 255.
        label_colours: of coloured truths: the i-th colour counts as the value i.
        prediction_reduce_zero_label, prediction_values, prediction_colours: the same of the predictions.
        void: of boundary IoU, see `SegmentationMetrics`.
        apply_orientation: whether orientation tags count.
    """

    metrics: SegmentationMetrics

    def __init__(
        self,
        num_classes: int | None = None,
        ignore_index: int = IGNORE_INDEX,
        ignore_labels: Sequence[int] = (),
        reduce_zero_label: bool = False,
        label_values: Mapping[int, int] | None = None,
        label_colours: Sequence[Sequence[int]] = (),
        prediction_reduce_zero_label: bool = False,
        prediction_values: Mapping[int, int] | None = None,
        prediction_colours: Sequence[Sequence[int]] = (),
        void: str = "void_excluded",
        apply_orientation: bool = True,
    ) -> None:
        self.notes: list[str] = []
        self.num_classes, self.void = num_classes, void
        ignored = (*ignore_labels, *(() if ignore_index == IGNORE_INDEX else (ignore_index,)))
        self._truth = partial(
            LabelCoding,
            reduce_zero_label=reduce_zero_label,
            ignore_labels=ignored,
            label_values=label_values or {},
            label_colours=label_colours,
        )
        self._prediction = partial(
            LabelCoding,
            reduce_zero_label=prediction_reduce_zero_label,
            label_values=prediction_values or {},
            label_colours=prediction_colours,
        )
        self._holds_ignored = False
        self._read = partial(read, reading=read_coded_label, apply_orientation=apply_orientation)

    def prepare(self, groups: Sequence[Group]) -> None:
        """The number of classes, if it was not said."""
        if self.num_classes is None:
            self.num_classes = self._largest(groups) + 1
            self.notes.append(f"num_classes={self.num_classes}, one more than the largest class in the truth")
        self.metrics = SegmentationMetrics(self.num_classes, IGNORE_INDEX, self.void)
        self._codings = self._truth(self.num_classes), self._prediction(self.num_classes)

    def add(self, group: Group) -> None:
        """Read a group and add it."""
        truth = self._read(group["truth"], options={}, coding=self._codings[0])
        prediction = self._read(group["prediction"], options=IN_PREDICTIONS, coding=self._codings[1])
        check_same_size({group["truth"]: truth, group["prediction"]: prediction})
        if (prediction == IGNORE_INDEX).any():
            raise DataError(
                f"{group['prediction']}: found {IGNORE_INDEX}, or what stands for no class; expected a class in every "
                f"pixel. prediction_values={{{IGNORE_INDEX}: 0}} says which class it is to count as"
            )
        self._holds_ignored |= bool((truth == IGNORE_INDEX).any())
        self.metrics.update(prediction, truth)

    def finish(self) -> None:
        """Refuse truths of one class and 255: masks of 0 and 255 would have every prediction right.

        Raises:
            DataError: it is so, and nobody has said what 255 is.
        """
        present = np.flatnonzero(self.metrics.region[2].numpy())
        if present.size == 0:
            raise DataError("the truth holds no pixel of any class, ignored ones alone")
        if present.size == 1 and not self._codings[0].says_ignored:
            self._refuse_one_class(int(present[0]))

    def per_class(self) -> dict[str, list[float]]:
        """IoU, accuracy and boundary IoU of each class; NaN for a class that does not occur."""
        return {name: values.tolist() for name, values in self.metrics.per_class().items()}

    def _largest(self, groups: Sequence[Group]) -> int:
        coding = self._truth(IGNORE_INDEX)
        largest = -1
        for group in groups:
            label = self._read(group["truth"], options={}, coding=coding)
            largest = max(largest, *(int(v) for v in np.unique(label) if v != IGNORE_INDEX), -1)
            self._holds_ignored |= bool((label == IGNORE_INDEX).any())
        if largest < 0:
            raise DataError("the truth holds no pixel of any class, ignored ones alone: say num_classes")
        if largest == 0 and not coding.says_ignored:
            self._refuse_one_class(0)
        return largest

    def _refuse_one_class(self, label: int) -> None:
        if not self._holds_ignored:
            return
        other = 1 - label if label < 2 else 0
        raise DataError(
            f"the truth holds class {label} and {IGNORE_INDEX} (ignored) alone. If {IGNORE_INDEX} is class {other}, "
            f"say 'label_values={{{IGNORE_INDEX}: {other}}}'; if it is to be ignored, ignore_labels=[{IGNORE_INDEX}]"
        )
