"""The Composition-1k augmentation, step by step: pure functions with a random generator.

The order and the numbers are those of the published matting recipes (GCA-Matting and its followers, FADE among
them): combine two foregrounds, resize, affine, flip, trimap, crop on an unknown pixel, HSV jitter, composite.
"""

from dataclasses import dataclass

import cv2
import numpy as np

from denseup.data.reading.samples import Array
from denseup.data.transforms.compositing import composite, draw_trimap, open_trimap, over, straight

Generator = np.random.Generator


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
            crop_sizes=tuple(round(size * ratio) for size in cls.crop_sizes),
            resize_to=round(cls.resize_to * ratio),
            trimap_scale=ratio if trimap_scale is None else trimap_scale,
        )


def augment_layers(
    layers: list[Array], background: Array, rng: Generator, how: MattingAugmentation
) -> dict[str, Array]:
    """One training sample from one or two foreground layers and a uint8 [H, W, 3] background.

    Returns "image", "foreground", "background" float32 [S, S, 3], "alpha" float32 [S, S], "trimap" uint8 [S, S].
    """
    layer = combine(layers)
    if rng.random() < how.resize:
        layer = cv2.resize(layer, (how.resize_to, how.resize_to), interpolation=cv2.INTER_LINEAR)
    layer = random_affine(layer, rng, how)
    if rng.random() < how.flip:
        layer = layer[:, ::-1]
    trimap = draw_trimap(_bytes(layer[..., 3]), rng, how.trimap_widths, how.trimap_scale)
    window = unknown_window(trimap, how.crop_sizes, rng)
    foreground, alpha = straight(_cut(layer, window, how.crop_size))
    trimap = open_trimap(_cut(trimap, window, how.crop_size, cv2.INTER_NEAREST), _bytes(alpha))
    foreground = jitter_hsv(foreground, alpha, rng, how.hue, how.shift)
    behind = random_background(background, how.crop_size, rng)
    image = composite(foreground, alpha, behind)
    return {"image": image, "foreground": foreground, "background": behind, "alpha": alpha, "trimap": trimap}


def augment_photograph(image: Array, alpha: Array, rng: Generator, how: MattingAugmentation) -> dict[str, Array]:
    """One training sample from a photograph and its matte, whose foreground and background colours are not known.

    Of the recipe, what needs no such colours: flip, trimap, crop on an unknown pixel. `image` is uint8 [H, W, 3],
    `alpha` uint8 [H, W]; returns "image", "alpha" and "trimap" as `augment_layers` does.
    """
    if rng.random() < how.flip:
        image, alpha = image[:, ::-1], np.ascontiguousarray(alpha[:, ::-1])
    trimap = draw_trimap(alpha, rng, how.trimap_widths, how.trimap_scale)
    window = unknown_window(trimap, how.crop_sizes, rng)
    alpha = _cut(alpha, window, how.crop_size)
    trimap = open_trimap(_cut(trimap, window, how.crop_size, cv2.INTER_NEAREST), alpha)
    image = _cut(image, window, how.crop_size)
    return {"image": _unit(image), "alpha": _unit(alpha), "trimap": trimap}


def combine(layers: list[Array]) -> Array:
    """The first layer over the second, resized to its size; a single layer comes back as it is."""
    front = layers[0]
    for back in layers[1:]:
        front = over(front, cv2.resize(back, front.shape[1::-1], interpolation=cv2.INTER_LINEAR))
    return front


def random_affine(layer: Array, rng: Generator, how: MattingAugmentation) -> Array:
    """A random rotation, scaling, shear and mirroring about the centre; at least `crop_size` high and wide."""
    height, width = layer.shape[:2]
    out_height, out_width = max(height, how.crop_size), max(width, how.crop_size)
    matrix = _rotation(rng.uniform(-how.rotation, how.rotation))
    matrix = matrix @ np.array([[1, np.tan(np.deg2rad(rng.uniform(-how.shear, how.shear)))], [0, 1]])
    matrix = matrix @ np.diag(rng.uniform(*how.scale, 2) * np.where(rng.random(2) < how.flip, -1, 1))
    offset = np.array([out_width - 1, out_height - 1]) / 2 - matrix @ (np.array([width - 1, height - 1]) / 2)
    return cv2.warpAffine(layer, np.column_stack([matrix, offset]), (out_width, out_height), flags=cv2.INTER_LINEAR)


def unknown_window(trimap: Array, sizes: tuple[int, ...], rng: Generator) -> tuple[int, int, int]:
    """(top, left, side) of a square as nearly centred on a random unknown pixel as the image border lets it be.

    The side is one of `sizes`, or the image's shorter side where that is smaller. Without an unknown pixel any
    pixel may be the centre.
    """
    height, width = trimap.shape
    side = min(int(rng.choice(sizes)), height, width)
    unknown = np.flatnonzero(trimap == 128)
    pick = int(unknown[rng.integers(unknown.size)]) if unknown.size else int(rng.integers(trimap.size))
    row, column = divmod(pick, width)
    return min(max(row - side // 2, 0), height - side), min(max(column - side // 2, 0), width - side), side


def jitter_hsv(foreground: Array, alpha: Array, rng: Generator, hue: float = 40.0, shift: float = 0.1) -> Array:
    """Random move of hue, saturation and value; saturation and value move less the higher their mean already is."""
    hsv = cv2.cvtColor(foreground, cv2.COLOR_RGB2HSV)
    hsv[..., 0] = (hsv[..., 0] + np.float32(rng.uniform(-hue, hue))) % 360
    visible = alpha > 0
    for channel in (1, 2):
        values = hsv[..., channel]
        mean = float(values[visible].mean()) if visible.any() else 1.0
        hsv[..., channel] = np.clip(values + np.float32(rng.uniform(-1, 1) * shift * (1.1 - mean)), 0, 1)
    return np.clip(cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB), 0, 1)


def random_background(background: Array, size: int, rng: Generator) -> Array:
    """A random square of a uint8 [H, W, 3] photograph, mirrored half of the time, as float32 [size, size, 3]."""
    height, width = background.shape[:2]
    short = min(height, width)
    side = int(rng.integers(min(size, short), short + 1))
    window = (int(rng.integers(height - side + 1)), int(rng.integers(width - side + 1)), side)
    piece = _unit(_cut(background, window, size))
    return np.ascontiguousarray(piece[:, ::-1]) if rng.random() < 0.5 else piece


def _rotation(degrees: float) -> Array:
    cosine, sine = np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))
    return np.array([[cosine, -sine], [sine, cosine]])


def _cut(array: Array, window: tuple[int, int, int], size: int, interpolation: int = cv2.INTER_LINEAR) -> Array:
    top, left, side = window
    piece = np.ascontiguousarray(array[top : top + side, left : left + side])
    return piece if side == size else cv2.resize(piece, (size, size), interpolation=interpolation)


def _bytes(alpha: Array) -> Array:
    return np.rint(np.clip(alpha, 0, 1) * 255).astype(np.uint8)


def _unit(array: Array) -> Array:
    return array.astype(np.float32) * np.float32(1 / 255)
