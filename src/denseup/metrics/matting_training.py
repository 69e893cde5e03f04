"""The matting metrics as training code prints them, for comparing with its logs and papers that took them there."""

from collections.abc import Callable, Mapping
from typing import ClassVar

import numpy as np

from denseup.metrics.description import MetricInfo
from denseup.metrics.functional.connectivity import conn
from denseup.metrics.functional.gradient import grad_a2u
from denseup.metrics.functional.inputs import AnyArray, ArrayLike, as_array
from denseup.metrics.functional.matting import mse, sad
from denseup.metrics.matting import MattingMetrics
from denseup.metrics.means import Measure


def of_levels(measure: Measure) -> Callable[[AnyArray, AnyArray, AnyArray], float]:
    """A measure of 8-bit alphas, of a prediction that is rounded first."""

    def rounded(pred: AnyArray, target: AnyArray, trimap: AnyArray) -> float:
        levels = pred if pred.dtype == np.uint8 else np.rint(pred * 255).astype(np.uint8)
        return measure(levels, target, trimap)

    return rounded


class TrainingMattingMetrics(MattingMetrics):
    """As `MattingMetrics`, but for Grad, which is `grad_a2u` of the alpha before it is rounded: "grad_training".

    It has a key of its own, so that no table puts it under the Grad of the MATLAB code, of which it is 1.02 to 1.06
    times. The other three are those of the rounded alpha, as there.
    """

    values = (
        MetricInfo("sad", "SAD", False, unit="10³"),
        MetricInfo("mse", "MSE", False, digits=5),
        MetricInfo("grad_training", "Grad of the training code", False, unit="10³"),
        MetricInfo("conn", "Conn", False, unit="10³"),
    )
    looks_before_rounding = True
    measures: ClassVar[Mapping[str, Measure]] = {
        "sad": of_levels(sad),
        "mse": of_levels(mse),
        "grad_training": grad_a2u,
        "conn": of_levels(conn),
    }

    def update(self, pred: ArrayLike, target: ArrayLike, trimap: ArrayLike) -> None:
        """Add images.

        Args:
            pred: predicted alpha, floating point in [0, 1] or uint8, [H, W], [B, H, W] or [B, 1, H, W].
            target, trimap: see `MattingMetrics.update`.

        Raises:
            ValueError: as there, and for a floating alpha beyond [0, 1] or of NaN.
        """
        alpha = as_array("pred", pred)
        if alpha.dtype != np.uint8 and not (alpha.dtype.kind == "f" and alpha.min() >= 0 and alpha.max() <= 1):
            span = f"{alpha.min()}..{alpha.max()}"
            raise ValueError(f"pred must be uint8, or floating point in [0, 1], got {alpha.dtype} of {span}")
        self.add(pred=alpha, target=target, trimap=trimap)
