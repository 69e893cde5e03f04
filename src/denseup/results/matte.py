"""A matte, and what it is for: the foreground on a transparent ground, or on another one."""

from dataclasses import dataclass

import numpy as np
from PIL import Image

from denseup.results.base import Array, Result, UInt8, by_strips, grey_picture, level_bytes, rgb_bytes
from denseup.results.foreground import estimate_foreground


@dataclass(frozen=True)
class Matte(Result):
    """Alpha of one image.

    Args:
        image: see `Result`.
        values: alpha, float32 [H, W] in [0, 1].
        trimap: it was predicted from, uint8 [H, W] of 0, 128 and 255.
    """

    kinds = ("alpha", "cutout")
    deep_kinds = ("alpha",)

    trimap: UInt8

    @property
    def alpha(self) -> Array:
        """float32 [H, W] in [0, 1], 1 opaque."""
        return self.values

    def foreground(self) -> Array:
        """The foreground's own colours, float32 [H, W, 3] in [0, 1]: without what shines through from behind.

        Raises:
            ImportError: pymatting is not installed.
        """
        return estimate_foreground(self.image, self.alpha)

    def cut_out(self) -> UInt8:
        """Straight (not premultiplied) RGBA, uint8 [H, W, 4], with the colours of `foreground`."""
        return by_strips(
            lambda colours, alpha: np.dstack([level_bytes(colours), level_bytes(alpha)]), self.foreground(), self.alpha
        )

    def over(self, background: Array | tuple[int, int, int]) -> UInt8:
        """The foreground on a colour, or on a uint8 image [H, W, 3] of the same size: uint8 [H, W, 3]."""
        behind = np.asarray(background)
        wrong = behind.dtype.kind not in "uif" or (behind.ndim == 3 and behind.dtype != np.uint8)
        if wrong or behind.shape not in ((3,), self.image.shape) or not ((behind >= 0) & (behind <= 255)).all():
            raise ValueError(
                f"background is {behind.dtype} {list(behind.shape)}, expected an RGB colour of 0 … 255, or a uint8 "
                f"image {list(self.image.shape)}"
            )
        alpha = self.alpha[..., None]
        return rgb_bytes(alpha * self.foreground() + (1 - alpha) * (behind / np.float32(255)))

    def picture(self, kind: str, bits: int = 8) -> Image.Image:
        """Grey alpha of 8 or 16 bits, or the cut-out."""
        self.check_picture(kind, bits)
        return grey_picture(self.alpha, bits) if kind == "alpha" else Image.fromarray(self.cut_out())
