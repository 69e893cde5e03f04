"""The matting metrics accumulated over a data set and over processes."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torchmetrics import Metric

from denseup.metrics.functional.connectivity import conn
from denseup.metrics.functional.gradient import grad
from denseup.metrics.functional.inputs import ArrayLike, as_arrays, as_batch
from denseup.metrics.functional.matting import mse, sad


class MattingMetrics(Metric):
    """SAD, MSE, Grad and Conn, each the mean over images of the values `denseup.metrics.functional` gives.

    An image without unknown pixels has no MSE and is left out of that mean; `images_without_unknown` counts them. It
    counts as 0 in the other three, as in the evaluation code of Composition-1k.
    """

    is_differentiable = False
    higher_is_better = False
    full_state_update = False

    sums: Tensor
    images: Tensor
    images_with_mse: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.add_state("sums", torch.zeros(4, dtype=torch.float64), dist_reduce_fx="sum")
        self.add_state("images", torch.zeros((), dtype=torch.int64), dist_reduce_fx="sum")
        self.add_state("images_with_mse", torch.zeros((), dtype=torch.int64), dist_reduce_fx="sum")

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
        values = torch.tensor(
            [[metric(*image) for metric in (sad, mse, grad, conn)] for image in images], dtype=torch.float64
        )
        self.sums += values.nansum(0).to(self.sums.device)
        self.images += len(values)
        self.images_with_mse += int(values[:, 1].isfinite().sum())

    def compute(self) -> dict[str, Tensor]:
        """Means over images, float64: "sad", "grad" and "conn" in thousands, "mse" as it is; NaN without an image."""
        s, m, g, c = self.sums
        return {
            "sad": s / self.images,
            "mse": m / self.images_with_mse,
            "grad": g / self.images,
            "conn": c / self.images,
        }

    def images_without_unknown(self) -> int:
        """How many images had no unknown pixel, hence no MSE, over all processes; each process has to call it."""
        with self.sync_context():
            return int(self.images - self.images_with_mse)

    def _apply(self, fn: Callable[[Tensor], Tensor], exclude_state: Sequence[str] = "") -> torch.nn.Module:
        """Follow a module to its device and keep float64 where `module.to(torch.bfloat16)` would round the sums."""

        def keep_dtype(tensor: Tensor) -> Tensor:
            moved = fn(tensor)
            return moved if moved.dtype == tensor.dtype else tensor.to(moved.device)

        return super()._apply(keep_dtype, exclude_state)
