"""The ADE20K augmentation, step by step: pure functions with a random generator, on uint8 images and label maps.

The order and the numbers are those of the published SegFormer recipe (MMSegmentation's pipeline): random resize,
crop with a limit on one class, flip, photometric distortion, padding.
"""

from dataclasses import dataclass

import cv2
import numpy as np

from denseup.data.reading.samples import IGNORE_INDEX, Array

Generator = np.random.Generator

# Padding comes after normalisation in the recipe and is zero there: ImageNet's mean colour before it.
PADDING_COLOUR = (124, 116, 104)
CROP_TRIES = 10


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


def augment_labelled(image: Array, label: Array, rng: Generator, how: SegmentationAugmentation) -> tuple[Array, Array]:
    """One training crop: uint8 [S, S, 3] and uint8 [S, S] from an image [H, W, 3] and its label map [H, W]."""
    image, label = random_resize(image, label, rng, how)
    image, label = random_crop(image, label, rng, how.crop_size, how.max_class_share)
    if rng.random() < how.flip:
        image, label = image[:, ::-1], label[:, ::-1]
    if how.photometric:
        image = distort_colours(np.ascontiguousarray(image), rng)
    return pad_to(image, label, how.crop_size)


def random_resize(image: Array, label: Array, rng: Generator, how: SegmentationAugmentation) -> tuple[Array, Array]:
    """Image and label map resized, with their aspect kept, to the largest size fitting short_side and long_side."""
    size = fitted_size(image.shape[:2], how.short_side, how.long_side, rng.uniform(*how.ratio))
    return (
        cv2.resize(image, size[::-1], interpolation=cv2.INTER_LINEAR),
        cv2.resize(label, size[::-1], interpolation=cv2.INTER_NEAREST),
    )


def fitted_size(size: tuple[int, ...], short_side: int, long_side: int, ratio: float = 1.0) -> tuple[int, int]:
    """(height, width) of an image scaled to the limits `short_side` and `long_side`, both times `ratio`."""
    scale = ratio * min(short_side / min(size), long_side / max(size))
    return max(round(size[0] * scale), 1), max(round(size[1] * scale), 1)


def random_crop(
    image: Array, label: Array, rng: Generator, size: int, max_class_share: float = 0.75
) -> tuple[Array, Array]:
    """A random window of at most size x size, tried again while one class covers more than its share."""
    height, width = label.shape
    for _ in range(CROP_TRIES):
        top, left = rng.integers(max(height - size, 0) + 1), rng.integers(max(width - size, 0) + 1)
        window = (slice(top, top + size), slice(left, left + size))
        counts = np.bincount(label[window].ravel(), minlength=256)
        counts[IGNORE_INDEX] = 0
        if np.count_nonzero(counts) > 1 and counts.max() < max_class_share * counts.sum():
            break
    return image[window], label[window]


def distort_colours(
    image: Array,
    rng: Generator,
    brightness: float = 32.0,
    contrast: tuple[float, float] = (0.5, 1.5),
    saturation: tuple[float, float] = (0.5, 1.5),
    hue: float = 36.0,
) -> Array:
    """Photometric distortion of a uint8 [H, W, 3] image, each of the four with probability one half.

    Brightness is in grey levels, hue in degrees; contrast comes before or after saturation and hue, at random.
    """
    late_contrast = rng.random() < 0.5
    if rng.random() < 0.5:
        image = _shift(image, rng.uniform(-brightness, brightness))
    factor = rng.uniform(*contrast) if rng.random() < 0.5 else 1.0
    if not late_contrast:
        image = _multiply(image, factor)
    image = _distort_hsv(image, rng, saturation, hue)
    return _multiply(image, factor) if late_contrast else image


def pad_to(image: Array, label: Array, size: int) -> tuple[Array, Array]:
    """Image and label map padded on the right and at the bottom to size x size; the padding is ignored (255)."""
    bottom, right = size - label.shape[0], size - label.shape[1]
    if bottom <= 0 and right <= 0:
        return image, label
    image = cv2.copyMakeBorder(image, 0, bottom, 0, right, cv2.BORDER_CONSTANT, value=PADDING_COLOUR)
    return image, cv2.copyMakeBorder(label, 0, bottom, 0, right, cv2.BORDER_CONSTANT, value=(IGNORE_INDEX,))


def _distort_hsv(image: Array, rng: Generator, saturation: tuple[float, float], hue: float) -> Array:
    factor = rng.uniform(*saturation) if rng.random() < 0.5 else 1.0
    turn = rng.uniform(-hue, hue) if rng.random() < 0.5 else 0.0
    if factor == 1.0 and turn == 0.0:
        return image
    hsv = cv2.cvtColor(image, cv2.COLOR_RGB2HSV_FULL)
    levels = np.arange(256)
    table = np.empty((1, 256, 3), np.uint8)
    table[0, :, 0] = (levels + round(turn * 256 / 360)) % 256
    table[0, :, 1] = np.clip(levels * factor, 0, 255)
    table[0, :, 2] = levels
    return cv2.cvtColor(cv2.LUT(hsv, table), cv2.COLOR_HSV2RGB_FULL)


def _shift(image: Array, offset: float) -> Array:
    return cv2.LUT(image, np.clip(np.arange(256) + offset, 0, 255).astype(np.uint8))


def _multiply(image: Array, factor: float) -> Array:
    return cv2.LUT(image, np.clip(np.arange(256) * factor, 0, 255).astype(np.uint8)) if factor != 1.0 else image
