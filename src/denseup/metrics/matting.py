"""The matting metrics accumulated over a data set and over processes."""

from collections.abc import Callable, Mapping, Sequence
from typing import ClassVar

import torch
from torch import Tensor

from denseup.metrics.base import DenseMetrics
from denseup.metrics.description import MetricInfo
from denseup.metrics.functional.connectivity import conn
from denseup.metrics.functional.gradient import grad
from denseup.metrics.functional.inputs import ArrayLike, as_arrays, as_batch
from denseup.metrics.functional.matting import mse, sad

Measure = Callable[[ArrayLike, ArrayLike, ArrayLike], float]
"""Prediction, truth and trimap of one image → a value; NaN for an image that has none."""


class MattingMetrics(DenseMetrics):
    """SAD, MSE, Grad and Conn, each the mean over images of the values `denseup.metrics.functional` gives.

    An image without unknown pixels has no MSE and is left out of that mean; `images_without_unknown` counts them. It
    counts as 0 in the other three, as in the evaluation code of Composition-1k.

    A further value that is a mean over images is an entry in `values` and one in `measures` of a subclass.
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
    full_state_update = False

    sums: Tensor
    measured: Tensor
    """Images that have each value."""
    images: Tensor

    def __init__(self) -> None:
        super().__init__()
        number = len(self.measures)
        self.add_state("sums", torch.zeros(number, dtype=torch.float64), dist_reduce_fx="sum")
        self.add_state("measured", torch.zeros(number, dtype=torch.int64), dist_reduce_fx="sum")
        self.add_state("images", torch.zeros((), dtype=torch.int64), dist_reduce_fx="sum")

    def update(self, pred: ArrayLike, target: ArrayLike, trimap: ArrayLike) -> None:
        """Add images.

        Args:
            pred: predicted alpha, uint8, [H, W], [B, H, W] or [B, 1, H, W], with the trimap's known pixels filled in.
            target: true alpha, uint8, of the same shape.
            trimap: uint8 of 0, 128 (unknown) and 255, of the same shape.

        Raises:
            ValueError: for a dtype other than uint8, shapes that differ, or another value in the trimap.
        """
        arrays = as_arrays(pred=pred, target=target, trimap=trimap)
        names = ("pred", "target", "trimap")
        images = zip(*(as_batch(name, array) for name, array in zip(names, arrays, strict=True)), strict=True)
        # All images are measured before any is added, so a broken one leaves the state as it was.
        rows = [[measure(*image) for measure in self.measures.values()] for image in images]
        values = torch.tensor(rows, dtype=torch.float64)
        self.sums += values.nansum(0).to(self.sums.device)
        self.measured += values.isfinite().sum(0).to(self.measured.device)
        self.images += len(values)
        self.keep(dict(zip(self.measures, zip(*rows, strict=True), strict=True)))

    def compute(self) -> dict[str, Tensor]:
        """Means over images, float64: "sad", "grad" and "conn" in thousands, "mse" as it is; NaN without an image."""
        return dict(zip(self.measures, self.sums / self.measured, strict=True))

    def images_without_unknown(self) -> int:
        """How many images had no unknown pixel, hence no MSE, over all processes; each process has to call it."""
        with self.sync_context():
            return int(self.images - self.measured[list(self.measures).index("mse")])

    def _apply(self, fn: Callable[[Tensor], Tensor], exclude_state: Sequence[str] = "") -> torch.nn.Module:
        """Follow a module to its device and keep float64 where `module.to(torch.bfloat16)` would round the sums."""

        def keep_dtype(tensor: Tensor) -> Tensor:
            moved = fn(tensor)
            return moved if moved.dtype == tensor.dtype else tensor.to(moved.device)

        return super()._apply(keep_dtype, exclude_state)
