"""Metrics that are means over images of what functions measure on each of them."""

from collections.abc import Callable, Mapping, Sequence
from typing import ClassVar

import torch
from torch import Tensor

from denseup.metrics.base import DenseMetrics
from denseup.metrics.functional.inputs import ArrayLike, as_arrays, as_batch

Measure = Callable[..., float]
"""The maps [H, W] of one image, in the order of `add` → a value; NaN for an image that has none."""


class ImageMeans(DenseMetrics):
    """Means over images. An image that has no value, because a function gives NaN, is left out of that mean.

    A subclass has a function for each of its `values` in `measures`, and gives its maps to `add` in `update`.
    """

    measures: ClassVar[Mapping[str, Measure]]
    """Key of a value → what measures it on an image."""
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

    def add(self, **maps: ArrayLike) -> None:
        """Add images: [H, W], [B, H, W] or [B, 1, H, W], all of one shape.

        Raises:
            ValueError: for shapes that differ or another number of axes, and whatever else a measure complains of.
        """
        images = zip(*map(as_batch, maps, as_arrays(**maps)), strict=True)
        # All images are measured before any is added, so a broken one leaves the state as it was.
        rows = [[measure(*image) for measure in self.measures.values()] for image in images]
        values = torch.tensor(rows, dtype=torch.float64)
        self.sums += values.nansum(0).to(self.sums.device)
        self.measured += values.isfinite().sum(0).to(self.measured.device)
        self.images += len(values)
        self.keep(dict(zip(self.measures, zip(*rows, strict=True), strict=True)))

    def compute(self) -> dict[str, Tensor]:
        """The means by key, float64; NaN without an image."""
        return dict(zip(self.measures, self.sums / self.measured, strict=True))

    def _apply(self, fn: Callable[[Tensor], Tensor], exclude_state: Sequence[str] = "") -> torch.nn.Module:
        """Follow a module to its device and keep float64 where `module.to(torch.bfloat16)` would round the sums."""

        def keep_dtype(tensor: Tensor) -> Tensor:
            moved = fn(tensor)
            return moved if moved.dtype == tensor.dtype else tensor.to(moved.device)

        return super()._apply(keep_dtype, exclude_state)
