"""Alpha mattes: SAD, MSE, Grad and Conn over the unknown region of a trimap, or over the whole image without one."""

from collections.abc import Mapping, Sequence
from functools import partial

import numpy as np

from denseup.data.reading.decoding import Array
from denseup.data.reading.levels import checked_trimap_values
from denseup.data.reading.samples import check_same_size, read_alpha, read_trimap
from denseup.metrics import MattingMetrics
from denseup.metrics.functional.inputs import UNKNOWN
from denseup.scoring.matching import Group
from denseup.scoring.scorer import read

WHOLE = "no trimap: the metrics are sums over the whole image, not over an unknown region as in the published protocol"


class MattingScorer:
    """Files of mattes, and of trimaps where there are some.

    Args:
        alpha_max: the file value of the truth that means opaque; None: the largest of its depth.
        prediction_alpha_max: the same of the predictions.
        trimap_values: file values of a trimap → 0, 128, 255.
        fill_known: take the known pixels of a prediction from the trimap, as the predictions of `src.evaluate` have
            them. The published evaluation takes files as they are: what is wrong outside of the unknown region has a
            part in Grad and Conn, which look at the whole image.
        apply_orientation: whether orientation tags count.
    """

    def __init__(
        self,
        alpha_max: float | None = None,
        prediction_alpha_max: float | None = None,
        trimap_values: Mapping[int, int] | None = None,
        fill_known: bool = False,
        apply_orientation: bool = True,
    ) -> None:
        self.metrics = MattingMetrics()
        self.notes: list[str] = []
        self.alpha_max, self.prediction_alpha_max, self.fill_known = alpha_max, prediction_alpha_max, fill_known
        self.trimap_values = checked_trimap_values(trimap_values)
        self._read = partial(read, apply_orientation=apply_orientation)
        self._otherwise, self._images = 0, 0

    def prepare(self, groups: Sequence[Group]) -> None:
        """Nothing has to be found."""
        if "trimap" not in groups[0]:
            self.notes.append(WHOLE)

    def add(self, group: Group) -> None:
        """Read a group and add it."""
        prediction, truth = self._alphas(group)
        trimap = np.full_like(truth, UNKNOWN)
        if "trimap" in group:
            trimap = self._read(group["trimap"], read_trimap, {}, trimap_values=self.trimap_values)
            check_same_size({group["truth"]: truth, group["trimap"]: trimap})
        known = trimap != UNKNOWN
        self._otherwise += bool((prediction[known] != trimap[known]).any())
        self._images += 1
        if self.fill_known:
            prediction = np.where(known, trimap, prediction)
        self.metrics.update(prediction, truth, trimap)

    def finish(self) -> None:
        """What became of the known pixels, and of images without unknown ones."""
        if self._otherwise:
            done = (
                "taken from the trimap" if self.fill_known else "left as they are; fill_known=true takes the trimap's"
            )
            self.notes.append(
                f"{self._otherwise} of {self._images} predictions differ from the trimap where it is known: {done}"
            )
        if without := self.metrics.images_without_unknown():
            self.notes.append(f"{without} of {self._images} images have no unknown pixel, and so no MSE")

    def per_class(self) -> dict[str, list[float]]:
        """There are none."""
        return {}

    def _alphas(self, group: Group) -> tuple[Array, Array]:
        names = {"alpha_max": "prediction_alpha_max"}
        prediction = self._read(group["prediction"], read_alpha, names, alpha_max=self.prediction_alpha_max)
        truth = self._read(group["truth"], read_alpha, {}, alpha_max=self.alpha_max)
        check_same_size({group["truth"]: truth, group["prediction"]: prediction})
        return prediction, truth
