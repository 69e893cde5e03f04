"""The Composition-1k augmentation: its numbers, and its steps in their order.

Both are those of the published matting recipes (GCA-Matting and its followers, FADE among them): combine two
foregrounds, resize, affine, flip, trimap, crop on an unknown pixel, HSV jitter, composite.
"""

from collections.abc import Callable
from dataclasses import dataclass

from denseup.data.reading.samples import Array
from denseup.data.transforms.geometry import Flip
from denseup.data.transforms.matting.colours import Composite, JitterColours
from denseup.data.transforms.matting.shapes import Affine, Combine, ResizeForeground
from denseup.data.transforms.matting.windows import CropForeground, CropPhotograph, DrawTrimap
from denseup.data.transforms.pipeline import Pipeline
from denseup.data.transforms.streams import Generator


@dataclass(frozen=True)
class MattingAugmentation:
    """How training crops are cut; the defaults are the published ones for crops of 512 pixels.

    Lengths are in pixels, angles in degrees, the rest are probabilities, factors or shares:

    - crop_size: side of the sample; crop_sizes: sides of the windows cut, one at random, then resized to crop_size
    - combine: probability of putting a second foreground behind the first
    - resize, resize_to: probability of resizing the foreground to a square, and its side
    - rotation, scale, shear, flip: the affine map: angle at most, factor of each axis, angle at most, probability of
      mirroring each axis; flip is also the probability of the horizontal flip that follows
    - trimap_widths, trimap_scale: see `compositing.draw_trimap`
    - hue: degrees at most; shift: largest move of saturation and value, for a foreground whose mean is 0.1
    """

    crop_size: int = 512
    crop_sizes: tuple[int, ...] = (512, 640, 800)
    combine: float = 0.5
    resize: float = 0.25
    resize_to: int = 640
    rotation: float = 30.0
    scale: tuple[float, float] = (0.8, 1.25)
    shear: float = 10.0
    flip: float = 0.5
    trimap_widths: tuple[int, int] = (1, 29)
    trimap_scale: float = 1.0
    hue: float = 40.0
    shift: float = 0.1

    @classmethod
    def scaled(cls, crop_size: int, trimap_scale: float | None = None) -> "MattingAugmentation":
        """The published recipe with every length in proportion to another crop size."""
        ratio = crop_size / cls.crop_size
        return cls(
            crop_size=crop_size,
            crop_sizes=tuple(max(round(size * ratio), 1) for size in cls.crop_sizes),
            resize_to=max(round(cls.resize_to * ratio), 1),
            trimap_scale=ratio if trimap_scale is None else trimap_scale,
        )


def composite_steps(
    how: MattingAugmentation, another: Callable[[Generator], Array], background: Callable[[Generator], Array]
) -> Pipeline:
    """From a foreground's "layer", float32 [H, W, 4], to the sample of the whole recipe.

    That is "image", "foreground", "background" float32 [S, S, 3], "alpha" float32 [S, S], "trimap" uint8 [S, S].

    Args:
        how: the numbers.
        another: draws a second layer.
        background: draws a photograph, uint8 [H, W, 3].
    """
    return Pipeline(
        (
            Combine(how.combine, another),
            ResizeForeground(how.resize, how.resize_to),
            Affine(how.rotation, how.scale, how.shear, how.flip, how.crop_size),
            Flip(how.flip),
            DrawTrimap(how.trimap_widths, how.trimap_scale),
            CropForeground(how.crop_sizes, how.crop_size),
            JitterColours(how.hue, how.shift),
            Composite(how.crop_size, background),
        )
    )


def photograph_steps(how: MattingAugmentation) -> Pipeline:
    """From a photograph "image" uint8 [H, W, 3] and its matte "alpha" uint8 [H, W], whose colours are not known.

    Of the recipe, what needs no such colours: flip, trimap, crop on an unknown pixel; "image", "alpha" and "trimap"
    come out as those of `composite_steps`.
    """
    return Pipeline(
        (
            Flip(how.flip),
            DrawTrimap(how.trimap_widths, how.trimap_scale),
            CropPhotograph(how.crop_sizes, how.crop_size),
        )
    )
