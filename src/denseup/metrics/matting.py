"""The matting metrics accumulated over a data set and over processes."""

from collections.abc import Mapping
from typing import ClassVar

from denseup.metrics.description import MetricInfo
from denseup.metrics.functional.connectivity import conn
from denseup.metrics.functional.gradient import grad
from denseup.metrics.functional.inputs import ArrayLike
from denseup.metrics.functional.matting import mse, sad
from denseup.metrics.means import ImageMeans, Measure


class MattingMetrics(ImageMeans):
    """SAD, MSE, Grad and Conn, each the mean over images of the values `denseup.metrics.functional` gives.

    "sad", "grad" and "conn" are in thousands, "mse" is as it is. An image without unknown pixels has no MSE and is left
    out of that mean; `images_without_unknown` counts them. It counts as 0 in the other three, as in the evaluation code
    of Composition-1k.

    A subclass measures more by an entry in `values` and a function (pred, target, trimap) → float in `measures`.
    """

    values = (
        MetricInfo("sad", "SAD", False, unit="10³"),
        MetricInfo("mse", "MSE", False, digits=5),
        MetricInfo("grad", "Grad", False, unit="10³"),
        MetricInfo("conn", "Conn", False, unit="10³"),
    )
    measures: ClassVar[Mapping[str, Measure]] = {"sad": sad, "mse": mse, "grad": grad, "conn": conn}

    is_differentiable = False
    higher_is_better = False

    def update(self, pred: ArrayLike, target: ArrayLike, trimap: ArrayLike) -> None:
        """Add images.

        Args:
            pred: predicted alpha, uint8, [H, W], [B, H, W] or [B, 1, H, W], with the trimap's known pixels filled in.
            target: true alpha, uint8, of the same shape.
            trimap: uint8 of 0, 128 (unknown) and 255, of the same shape.

        Raises:
            ValueError: for a dtype other than uint8, shapes that differ, or another value in the trimap.
        """
        self.add(pred=pred, target=target, trimap=trimap)

    def images_without_unknown(self) -> int:
        """How many images had no unknown pixel, hence no MSE, over all processes; each process has to call this."""
        with self.sync_context():
            return int(self.images - self.measured[list(self.measures).index("mse")])


class TrivialSAD(ImageMeans):
    """SAD of the answer that needs no network: 0.5 in the unknown region, and the trimap elsewhere."""

    values = MattingMetrics.values[:1]
    measures: ClassVar[Mapping[str, Measure]] = {"sad": sad}
    is_differentiable = False
    higher_is_better = False

    def update(self, target: ArrayLike, trimap: ArrayLike) -> None:
        """Add images; see `MattingMetrics.update`."""
        self.add(pred=trimap, target=target, trimap=trimap)
