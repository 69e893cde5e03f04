"""The ADE20K augmentation: its numbers, and its steps in their order.

Both are those of the published SegFormer recipe (MMSegmentation's pipeline): random resize, crop with a limit on one
class, flip, photometric distortion, padding. Images and label maps stay uint8 throughout.
"""

from dataclasses import dataclass

from denseup.data.transforms.geometry import Flip
from denseup.data.transforms.pipeline import Pipeline, Step
from denseup.data.transforms.segmentation.colours import DistortColours
from denseup.data.transforms.segmentation.shapes import CropBalanced, Pad, ResizeWithin


@dataclass(frozen=True)
class SegmentationAugmentation:
    """How training crops are cut; the defaults are the published ones for ADE20K.

    - crop_size: side of the sample in pixels
    - short_side, long_side: the size (pixels, at most) an image is fitted into, both times a factor from `ratio`
    - max_class_share: largest share of a crop's counted pixels that one class may have, if ten tries find one
    - flip: probability of the horizontal flip
    - photometric: whether brightness, contrast, saturation and hue are distorted
    """

    crop_size: int = 512
    short_side: int = 512
    long_side: int = 2048
    ratio: tuple[float, float] = (0.5, 2.0)
    max_class_share: float = 0.75
    flip: float = 0.5
    photometric: bool = True


def labelled_steps(how: SegmentationAugmentation) -> Pipeline:
    """From "image" uint8 [H, W, 3] and its "label" uint8 [H, W] to a training crop: uint8 [S, S, 3] and [S, S]."""
    photometric: tuple[Step, ...] = (DistortColours(),) if how.photometric else ()
    return Pipeline(
        (
            ResizeWithin(how.short_side, how.long_side, how.ratio),
            CropBalanced(how.crop_size, how.max_class_share),
            Flip(how.flip),
            *photometric,
            Pad(how.crop_size),
        )
    )
