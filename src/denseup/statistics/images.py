"""What each image adds to a metric, and the metric of images drawn again."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray

Float64 = NDArray[np.float64]

RESAMPLES = 2000
"""Sets of images that a bootstrap draws."""
GENERATOR_SEED = 0
"""Of NumPy's default generator, so that a report is the same every time."""


@dataclass(frozen=True, eq=False)
class ImageParts:
    """A metric as the mean over classes of (sum of the images' parts) / (sum of their wholes).

    mIoU has intersections and unions. A mean over images has one class: the images' values, and a whole of 1 each, 0
    for an image without a value. A class whose wholes add up to nothing does not count.

    Args:
        parts, wholes: float64 `[images, classes]`.

    Raises:
        ValueError: other shapes, or shapes that differ.
    """

    parts: Float64
    wholes: Float64

    def __post_init__(self) -> None:
        if self.parts.ndim != 2 or self.parts.shape != self.wholes.shape:
            shapes = f"{list(self.parts.shape)} and {list(self.wholes.shape)}"
            raise ValueError(f"parts and wholes are {shapes}, expected two of one shape [images, classes]")

    @classmethod
    def of_values(cls, values: ArrayLike) -> "ImageParts":
        """Of a mean over images: a value each, NaN for an image that has none."""
        column = np.asarray(values, np.float64)[:, None]
        measured = np.isfinite(column)
        return cls(np.where(measured, column, 0.0), measured.astype(np.float64))

    def __len__(self) -> int:
        return len(self.parts)

    def taken(self, order: NDArray[np.intp]) -> "ImageParts":
        """The images at these places."""
        return ImageParts(self.parts[order], self.wholes[order])

    @property
    def value(self) -> float:
        """The metric of all images; NaN without any class."""
        return float(self.resampled(np.ones((1, len(self))))[0])

    def resampled(self, times: Float64) -> Float64:
        """The metric of other sets of these images, `[sets]`.

        Args:
            times: how often each set has each image, `[sets, images]`.
        """
        parts, wholes = times @ self.parts, times @ self.wholes
        present = wholes > 0
        ratios = np.divide(parts, wholes, out=np.zeros_like(parts), where=present)
        classes = present.sum(1)
        return np.divide(ratios.sum(1), classes, out=np.full(len(classes), np.nan), where=classes > 0)


@lru_cache(maxsize=8)
def resamples(images: int, number: int = RESAMPLES, seed: int = GENERATOR_SEED) -> Float64:
    """How often each of `number` sets, drawn with replacement, has each image: `[number, images]`, not to be changed.

    Upsamplers and seeds share the sets, which pairs them.
    """
    drawn = np.random.default_rng(seed).multinomial(images, np.full(images, 1 / images), number).astype(np.float64)
    drawn.flags.writeable = False
    return drawn
