"""How far a saliency map is from the truth; maps are uint8 [H, W], 255 where something stands out."""

from denseup.metrics import ImageMeans, MetricInfo
from denseup.metrics.functional.inputs import ArrayLike, UInt8


def mae(pred: UInt8, target: UInt8) -> float:
    """Mean absolute difference, 0..1."""
    return float(abs(pred.astype(float) - target).mean()) / 255


def found(pred: UInt8, target: UInt8) -> float:
    """Share of the salient pixels that are found; NaN where there are none."""
    salient = target > 127
    return float((pred[salient] > 127).mean()) if salient.any() else float("nan")


class SaliencyMetrics(ImageMeans):
    """Both, as means over images."""

    values = (
        MetricInfo("mae", "MAE", higher_is_better=False, digits=4),
        MetricInfo("found", "Found", higher_is_better=True, scale=100, printed_unit="%", digits=1),
    )
    measures = {"mae": mae, "found": found}

    def update(self, pred: ArrayLike, target: ArrayLike) -> None:
        """Add images."""
        self.add(pred=pred, target=target)
