"""Common corruptions of photographs at five strengths, for measuring how much of an accuracy survives them.

Hendrycks and Dietterich, "Benchmarking Neural Network Robustness to Common Corruptions and Perturbations", ICLR 2019
(arXiv:1903.12261): their kinds and their strengths, here from the definitions. They judge one label of an image, here
every pixel is judged, so that what moves pixels is left out (elastic transform, glass blur, zoom blur) and motion blur
is symmetric; snow and frost, which need pictures, are left out too. Strengths are those for images of some 224 pixels,
in pixels of the image that they are applied to. Figures are comparable with one another, not with ImageNet-C's.

Each function takes RGB float32 [H, W, 3] in [0, 1] of any size, a random generator, and its strength. It may give
values beyond [0, 1], which `corrupted` clips.
"""

import io
import zlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import cv2
import numpy as np
from PIL import Image

from denseup.data.reading.samples import Array

Generator = np.random.Generator
SEVERITIES = (1, 2, 3, 4, 5)
"""The strengths, the mildest first."""
BORDER = cv2.BORDER_REPLICATE


def gaussian_noise(image: Array, rng: Generator, deviation: float) -> Array:
    """x + n, n normal: the noise of a sensor in little light."""
    return image + rng.standard_normal(image.shape, np.float32) * np.float32(deviation)


def shot_noise(image: Array, rng: Generator, photons: float) -> Array:
    """Poisson(c·x) / c: so many photons are counted where the image is white."""
    return rng.poisson(image * photons).astype(np.float32) / np.float32(photons)


def impulse_noise(image: Array, rng: Generator, share: float) -> Array:
    """Salt and pepper: a share of the values, each channel by itself, is 0 or 1, either as often."""
    drawn = rng.random(image.shape, np.float32)
    return np.where(drawn < share / 2, np.float32(0), np.where(drawn < share, np.float32(1), image))


def speckle_noise(image: Array, rng: Generator, deviation: float) -> Array:
    """x + x·n, n normal: noise that grows with the light."""
    return image + image * rng.standard_normal(image.shape, np.float32) * np.float32(deviation)


def gaussian_blur(image: Array, rng: Generator, sigma: float) -> Array:
    """A gaussian of so many pixels, cut at four of them."""
    side = 2 * round(4 * sigma) + 1
    return cv2.GaussianBlur(image, (side, side), sigma, borderType=BORDER)


def defocus_blur(image: Array, rng: Generator, radius: float, softness: float) -> Array:
    """The image of a point out of focus: a disc of this radius, its edge softened by a gaussian."""
    reach = int(radius) + 1
    y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    disc = (x**2 + y**2 <= radius**2).astype(np.float32)
    side = 3 if radius <= 8 else 5
    kernel = cv2.GaussianBlur(disc, (side, side), softness, borderType=cv2.BORDER_CONSTANT)
    return cv2.filter2D(image, -1, kernel / kernel.sum(), borderType=BORDER)


def motion_blur(image: Array, rng: Generator, radius: float, sigma: float) -> Array:
    """The camera moves along a line at an angle of -45° to 45°: a gaussian on it, cut at the radius.

    Symmetric, so that what is true of a pixel stays where it is.
    """
    angle = np.deg2rad(rng.uniform(-45, 45))
    reach = int(radius)
    kernel = np.zeros((2 * reach + 1, 2 * reach + 1))
    for t in np.arange(-radius, radius + 0.25, 0.5):
        y, x = reach + t * np.sin(angle), reach + t * np.cos(angle)
        top, left = int(np.floor(y)), int(np.floor(x))
        for row, column in ((top, left), (top, left + 1), (top + 1, left), (top + 1, left + 1)):
            if row <= 2 * reach and column <= 2 * reach:
                share = (1 - abs(y - row)) * (1 - abs(x - column))
                kernel[row, column] += share * np.exp(-(t**2) / (2 * sigma**2))
    return cv2.filter2D(image, -1, (kernel / kernel.sum()).astype(np.float32), borderType=BORDER)


def fog(image: Array, rng: Generator, amount: float, decay: float) -> Array:
    """(x + c·f) · max / (max + c), f a plasma fractal in [0, 1] and max the brightest value of the image."""
    height, width = image.shape[:2]
    brightest = float(image.max())
    haze = plasma(max(height, width), rng, decay)[:height, :width, None]
    return (image + np.float32(amount) * haze) * np.float32(brightest / (brightest + amount))


def brightness(image: Array, rng: Generator, shift: float) -> Array:
    """The value of HSV goes up."""
    return _in_hsv(image, lambda saturation, value: (saturation, value + shift))


def contrast(image: Array, rng: Generator, factor: float) -> Array:
    """(x - m)·c + m, m the mean of each channel."""
    mean = image.mean((0, 1), keepdims=True, dtype=np.float64).astype(np.float32)
    return (image - mean) * np.float32(factor) + mean


def saturate(image: Array, rng: Generator, factor: float, shift: float) -> Array:
    """The saturation of HSV is multiplied and shifted."""
    return _in_hsv(image, lambda saturation, value: (saturation * factor + shift, value))


def pixelate(image: Array, rng: Generator, factor: float) -> Array:
    """Reduced by means over areas to this share of its sides, and each pixel then made a rectangle."""
    height, width = image.shape[:2]
    small = Image.fromarray(_levels(image)).resize(
        (max(int(width * factor), 1), max(int(height * factor), 1)), Image.Resampling.BOX
    )
    return _from_levels(np.asarray(small.resize((width, height), Image.Resampling.NEAREST)))


def jpeg_compression(image: Array, rng: Generator, quality: int) -> Array:
    """Written as a JPEG file of this quality, and read again."""
    file = io.BytesIO()
    Image.fromarray(_levels(image)).save(file, "JPEG", quality=quality)
    return _from_levels(np.asarray(Image.open(file).convert("RGB")))


Corruption = Callable[..., Array]
CORRUPTIONS: Mapping[str, tuple[Corruption, Sequence[tuple[Any, ...]]]] = {
    "gaussian_noise": (gaussian_noise, [(0.08,), (0.12,), (0.18,), (0.26,), (0.38,)]),
    "shot_noise": (shot_noise, [(60,), (25,), (12,), (5,), (3,)]),
    "impulse_noise": (impulse_noise, [(0.03,), (0.06,), (0.09,), (0.17,), (0.27,)]),
    "speckle_noise": (speckle_noise, [(0.15,), (0.2,), (0.35,), (0.45,), (0.6,)]),
    "gaussian_blur": (gaussian_blur, [(1,), (2,), (3,), (4,), (6,)]),
    "defocus_blur": (defocus_blur, [(3, 0.1), (4, 0.5), (6, 0.5), (8, 0.5), (10, 0.5)]),
    "motion_blur": (motion_blur, [(10, 3), (15, 5), (15, 8), (15, 12), (20, 15)]),
    "fog": (fog, [(1.5, 2), (2, 2), (2.5, 1.7), (2.5, 1.5), (3, 1.4)]),
    "brightness": (brightness, [(0.1,), (0.2,), (0.3,), (0.4,), (0.5,)]),
    "contrast": (contrast, [(0.4,), (0.3,), (0.2,), (0.1,), (0.05,)]),
    "saturate": (saturate, [(0.3, 0), (0.1, 0), (2, 0), (5, 0.1), (20, 0.2)]),
    "pixelate": (pixelate, [(0.6,), (0.5,), (0.4,), (0.3,), (0.25,)]),
    "jpeg_compression": (jpeg_compression, [(25,), (18,), (15,), (10,), (7,)]),
}
"""Name → function, and its arguments at each strength."""


def corrupted(image: Array, name: str, severity: int, key: str) -> Array:
    """A corrupted image, uint8 [H, W, 3].

    What is drawn comes from a stream of the corruption and the image's key alone: the same for every network. All
    strengths begin it anew, so that noise of two strengths is one pattern, stronger or weaker.

    Args:
        image: RGB [H, W, 3], uint8, or float32 in [0, 1].
        name: of a corruption.
        severity: 1 to 5.
        key: of the image.

    Raises:
        ValueError: another name or severity.
    """
    if name not in CORRUPTIONS:
        raise ValueError(f"corruption is {name!r}, valid: {', '.join(CORRUPTIONS)}")
    if severity not in SEVERITIES:
        raise ValueError(f"corruption_severity is {severity!r}, valid: {', '.join(map(str, SEVERITIES))}")
    function, strengths = CORRUPTIONS[name]
    rng = np.random.default_rng([zlib.crc32(name.encode()), zlib.crc32(key.encode())])
    given = _from_levels(image) if image.dtype == np.uint8 else image.astype(np.float32).clip(0, 1)
    return _levels(function(given, rng, *strengths[severity - 1]))


def plasma(side: int, rng: Generator, decay: float) -> Array:
    """A plasma fractal, float32 [n, n] in [0, 1], n the next power of two: midpoints displaced at random.

    From a grid of one cell that goes on beyond its borders: the middle of each cell gets the mean of its four corners
    and a uniform number, then the middle of each side the mean of its four neighbours and another one; cells become
    half as large, and the numbers are divided by `decay`.
    """
    n = 1 << max(side - 1, 0).bit_length()
    field, span, step = np.zeros((n, n)), 1.0, n
    while step > 1:
        half = step // 2
        corners = field[::step, ::step]
        below = corners + np.roll(corners, -1, 0)
        middles = (below + np.roll(below, -1, 1)) / 4 + rng.uniform(-span, span, corners.shape)
        field[half::step, half::step] = middles
        noise = rng.uniform(-span, span, (2, *corners.shape))
        field[half::step, ::step] = (below + middles + np.roll(middles, 1, 1)) / 4 + noise[0]
        across = corners + np.roll(corners, -1, 1)
        field[::step, half::step] = (across + middles + np.roll(middles, 1, 0)) / 4 + noise[1]
        span, step = span / decay, half
    low, high = field.min(), field.max()
    return ((field - low) / (high - low if high > low else 1)).astype(np.float32)


def _in_hsv(image: Array, change: Callable[[Array, Array], tuple[Array, Array]]) -> Array:
    """The image with saturation and value of HSV changed and clipped to [0, 1]."""
    hsv = cv2.cvtColor(np.ascontiguousarray(image), cv2.COLOR_RGB2HSV)
    for place, channel in enumerate(change(hsv[..., 1], hsv[..., 2]), 1):
        hsv[..., place] = np.clip(channel, 0, 1)
    return cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB)


def _levels(image: Array) -> Array:
    return np.rint(np.clip(image, 0, 1) * 255).astype(np.uint8)


def _from_levels(levels: Array) -> Array:
    return levels.astype(np.float32) / np.float32(255)
