"""Layers, composites, trimaps and pasting: pure functions on numpy arrays.

A *layer* is float32 [H, W, 4] in [0, 1], RGB premultiplied by alpha. Resampling and `over` are linear in it, so the
undefined colours of transparent pixels never bleed into an edge, as they would with straight alpha.
"""

import math
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from denseup.data.reading.samples import Array, read_cutout

ROWS = 256


def read_layer(foreground: Path, alpha: Path | None = None) -> Array:
    """The layer of a cut-out's file or files; see `reading.samples.read_cutout`."""
    return premultiply(read_cutout(foreground, alpha))


def premultiply(cutout: Array) -> Array:
    """The layer of a straight uint8 [H, W, 4] cut-out."""
    layer = cutout.astype(np.float32) * np.float32(1 / 255)
    alpha = layer[..., 3]
    return layer * cv2.merge([alpha, alpha, alpha, np.ones_like(alpha)])


def straight(layer: Array, reach: int = 31) -> tuple[Array, Array]:
    """A layer's foreground colours [H, W, 3] and alpha [H, W], both float32 in [0, 1]; alpha is rounded to 1/255.

    A composition loss needs a plausible colour where alpha is 0, and there is next to none in pixels of little alpha:
    the colours go over to that of the foreground within `reach` pixels, or to its mean colour further away.
    """
    blurred = cv2.blur(layer, (reach, reach), borderType=cv2.BORDER_CONSTANT)
    planes: tuple[list[Array], list[Array]] = (list(cv2.split(layer)), list(cv2.split(blurred)))
    (*colours, alpha), (*near, cover) = planes
    alpha = np.clip(alpha, 0, 1)
    mean = np.array(cv2.mean(layer)[:3], np.float32) / max(float(alpha.mean()), 1e-6)
    share = np.float32(0.02) * (1 - alpha)
    weight, total = share / (cover + np.float32(1e-4)), alpha + share
    # Plane by plane and in place: numpy is several times slower broadcasting over a short last axis.
    for colour, spread, level in zip(colours, near, mean, strict=True):
        spread += np.float32(1e-4) * level
        spread *= weight
        colour += spread
        colour /= total
        np.clip(colour, 0, 1, out=colour)
    return cv2.merge(colours), np.rint(alpha * 255) * np.float32(1 / 255)


def over(front: Array, back: Array) -> Array:
    """Two layers of one size combined: `front` before `back`."""
    return front + _repeat(1 - front[..., 3], 4) * back


def composite(foreground: Array, alpha: Array, background: Array) -> Array:
    """alpha * foreground + (1 - alpha) * background; [H, W, 3], [H, W], [H, W, 3] float32 in [0, 1]."""
    weight = _repeat(alpha)
    image = weight * foreground
    np.subtract(1, weight, out=weight)
    weight *= background
    image += weight
    return image


def merge_as_released(foreground: Array, alpha: Array, background: Array) -> Array:
    """A composite with the arithmetic of Composition-1k's release: uint8 [H, W, 3] of its foreground's size.

    A background that does not cover the foreground is enlarged, with its aspect kept, until it does; its top left
    corner counts. Values are cut to whole numbers, not rounded. All are uint8: [H, W, 3], [H, W] and [h, w, 3].
    """
    height, width = alpha.shape
    ratio = max(width / background.shape[1], height / background.shape[0])
    if ratio > 1:
        size = (math.ceil(background.shape[1] * ratio), math.ceil(background.shape[0] * ratio))
        background = np.asarray(Image.fromarray(background).resize(size, Image.Resampling.BICUBIC))
    merged = np.empty((height, width, 3), np.uint8)
    for top in range(0, height, ROWS):  # in double precision, of which a large image would need a lot at once
        rows = slice(top, top + ROWS)
        weight = (alpha[rows] / 255)[..., None]
        merged[rows] = weight * foreground[rows] + (1 - weight) * background[rows, :width][: height - top]
    return merged


def trimap_from_alpha(alpha: Array, foreground_width: float, background_width: float) -> Array:
    """Trimap uint8 [H, W] (0, 128, 255) of a uint8 alpha [H, W]; all soft alpha lies in the unknown 128.

    The certain foreground (alpha 255) and background (alpha 0) are eroded with discs of these diameters in pixels;
    1 leaves them as they are. What lies beyond the image border erodes nothing.
    """
    trimap = np.full(alpha.shape, 128, np.uint8)
    for level, width in ((255, foreground_width), (0, background_width)):
        certain = (alpha == level).astype(np.uint8)
        if certain.all():
            return np.full(alpha.shape, level, np.uint8)
        distance = cv2.distanceTransform(certain, cv2.DIST_L2, cv2.DIST_MASK_5)
        trimap[distance > max(width - 1, 0) / 2] = level
    return trimap


def draw_trimap(alpha: Array, rng: np.random.Generator, widths: tuple[int, int] = (1, 29), scale: float = 1.0) -> Array:
    """A trimap with two erosion diameters drawn from `widths` (both ends included) and multiplied by `scale`.

    The published diameters are for images of 512 pixels and more; smaller images need a `scale` below 1.
    """
    foreground, background = rng.integers(widths[0], widths[1] + 1, 2) * scale
    return trimap_from_alpha(alpha, foreground, background)


def open_trimap(trimap: Array, alpha: Array) -> Array:
    """The trimap made unknown wherever it contradicts the uint8 alpha, as after resampling the two."""
    wrong = ((trimap == 0) & (alpha > 0)) | ((trimap == 255) & (alpha < 255))
    return np.where(wrong, np.uint8(128), trimap)


def paste(image: Array, label: Array, layer: Array, top: int, left: int, class_index: int) -> None:
    """A layer pasted into an image and its label map, in place.

    `image` is float32 [H, W, 3], `label` uint8 [H, W]. The layer's corner is at (top, left), which may lie outside,
    and what reaches beyond the image is cut off. Alpha above one half decides a pixel's class.
    """
    height, width = layer.shape[:2]
    rows = slice(max(top, 0), max(min(top + height, image.shape[0]), 0))
    columns = slice(max(left, 0), max(min(left + width, image.shape[1]), 0))
    piece = layer[rows.start - top : rows.stop - top, columns.start - left : columns.stop - left]
    if piece.size:
        alpha = cv2.extractChannel(piece, 3)
        below = cv2.multiply(image[rows, columns], _repeat(1 - alpha))
        image[rows, columns] = cv2.add(below, cv2.cvtColor(piece, cv2.COLOR_RGBA2RGB))
        label[rows, columns][alpha > 0.5] = class_index


def _repeat(plane: Array, channels: int = 3) -> Array:
    # A plane [H, W] as [H, W, channels]: numpy is several times slower broadcasting over a short last axis.
    return cv2.merge([plane] * channels)
