"""What a task says of its network's answer before it is made into a prediction, for evaluations that see an image in
windows or several times (`denseup.evaluation`).
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor

from denseup.metrics import DenseMetrics
from denseup.tasks.takes_pictures import TakesPictures
from denseup.tasks.watched import Batch

BEFORE_ROUNDING = "prediction before rounding"
"""Entry of a batch: its prediction in floating point, for metrics that look at it."""


@dataclass(frozen=True)
class Classes:
    """Of a task whose predictions are classes.

    Args:
        names: of classes 0, 1, …
        ignore_index: the label of pixels without one.
    """

    names: Sequence[str]
    ignore_index: int


class GivesScores(TakesPictures):
    """A task that says none of this is evaluated as its `predict` does, and in no other way."""

    metric_variants: ClassVar[Mapping[str, Callable[["Any"], DenseMetrics]]] = {}
    """Names of conventions → what makes the task's metrics by them; the first is what it measures by anyway."""
    why_not_calibrated: ClassVar[str] = "its predictions are no probabilities"
    """Why there is no calibration error, where `confidence` gives None."""

    _way: Callable[[Batch], Tensor] | None = None

    def answer(self, batch: Batch) -> Tensor:
        """What is evaluated: `predict`, or what stands in for it."""
        return self.predict(batch) if self._way is None else self._way(batch)

    @contextmanager
    def answering(self, way: Callable[[Batch], Tensor]) -> Iterator[None]:
        """Within it an evaluation asks this for predictions, in place of `predict`."""
        self._way = way
        try:
            yield
        finally:
            self._way = None

    def scores(self, batch: Batch) -> Tensor:
        """What the network says of the images of a batch, `[B, C, h, w]`: what windows of one image are averaged in.

        It covers the whole image, at its resolution or a coarser one. Nothing but the image and the `prompts` is used.

        Raises:
            DivergedError: it is not finite.
        """
        raise NotImplementedError

    def decided(self, views: Sequence[Tensor], batch: Batch) -> Tensor:
        """The prediction, as `predict` gives it, from the scores of one or several views of the batch's images."""
        raise NotImplementedError

    def before_rounding(self, views: Sequence[Tensor], batch: Batch) -> Tensor | None:
        """As `decided`, `[B, H, W]` in floating point; None where nothing is rounded."""
        return None

    def confidence(self, views: Sequence[Tensor], batch: Batch) -> Tensor | None:
        """Probability of what `decided` chooses, `[B, H, W]`; None for a task that predicts no probabilities."""
        return None

    @property
    def classes(self) -> Classes | None:
        """Of a task whose predictions are classes; None for another one."""
        return None
