"""Made-up mattes and label maps of any size, the same in every run, with the structure that metrics work on."""

import cv2
import numpy as np
from numpy.typing import NDArray

UInt8 = NDArray[np.uint8]
UNKNOWN, IGNORED = 128, 255
BLOB, CELL = 40, 24
"""Pixels across a soft blob of a matte, and a region of a label map."""


def mattes(size: tuple[int, int]) -> tuple[UInt8, UInt8, UInt8]:
    """Prediction, truth and trimap, uint8 [H, W] each: soft blobs, thousands of specks, noise on the prediction."""
    rng = np.random.default_rng(0)
    shape = smooth_noise(size, BLOB, rng) + 0.15 * smooth_noise(size, 3, rng)
    truth = np.clip(0.5 + shape, 0, 1)
    pred = np.clip(truth + 0.08 * smooth_noise(size, 2, rng), 0, 1)
    soft = cv2.dilate(((truth > 0) & (truth < 1)).astype(np.uint8), np.ones((9, 9), np.uint8))
    trimap = np.where(soft > 0, UNKNOWN, np.where(truth > 0.5, 255, 0)).astype(np.uint8)
    known = trimap != UNKNOWN
    p, g = (np.rint(255 * alpha).astype(np.uint8) for alpha in (pred, truth))
    return np.where(known, trimap, p), g, trimap


def label_maps(size: tuple[int, int], num_classes: int) -> tuple[UInt8, UInt8]:
    """Predicted and true labels, uint8 [H, W] each: regions of random classes, shifted and speckled in the prediction.

    A twentieth of the true regions is ignored (255).
    """
    rng = np.random.default_rng(0)
    cells = [-(-side // CELL) for side in size]
    classes = rng.integers(num_classes, size=cells)
    truth = _raised(np.where(rng.random(cells) < 0.05, IGNORED, classes), size)
    pred = np.roll(_raised(classes, size), (2, -3), (0, 1))
    wrong = _raised((rng.random(cells) < 0.2).astype(int), size) > 0
    return np.where(wrong, (pred + 1) % num_classes, pred).astype(np.uint8), truth


def smooth_noise(size: tuple[int, int], scale: int, rng: np.random.Generator) -> NDArray[np.float32]:
    """Normal noise with features about `scale` pixels across, float32 [H, W]."""
    height, width = size
    coarse = rng.standard_normal((height // scale + 4, width // scale + 4)).astype(np.float32)
    return np.asarray(cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC))


def _raised(cells: NDArray[np.integer], size: tuple[int, int]) -> UInt8:
    height, width = size
    return np.asarray(cv2.resize(cells.astype(np.uint8), (width, height), interpolation=cv2.INTER_NEAREST))
