"""Small image folders for the data tests."""

from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import Image

REAL_DATA = Path(__file__).resolve().parents[3] / "shared" / "real-data"


def write(path: Path, array: np.ndarray) -> Path:
    """Write an array (RGB, RGBA or grey) as an image file and return its path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    channels = {3: cv2.COLOR_RGB2BGR, 4: cv2.COLOR_RGBA2BGRA}
    if array.ndim == 3:
        array = cv2.cvtColor(array, channels[array.shape[2]])
    assert cv2.imwrite(str(path), array)
    return path


def save(path: Path, image: Image.Image, **options: Any) -> Path:
    """Write a Pillow image as it is, in the format that the name says, and return its path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path, **options)
    return path


def disc(height: int = 60, width: int = 80) -> np.ndarray:
    """A soft disc as a uint8 matte."""
    rows, columns = np.mgrid[:height, :width]
    distance = np.hypot(rows - height / 2, columns - width / 2)
    return np.clip((height / 3 - distance) * 30 + 128, 0, 255).astype(np.uint8)


def noise(seed: int, height: int = 60, width: int = 80) -> np.ndarray:
    """A uint8 RGB image of noise."""
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


def matting_folder(root: Path, count: int = 4, split: str = "") -> Path:
    """`count` images with mattes and trimaps, laid out for `MattingFolder`."""
    for i in range(count):
        alpha = disc()
        write(root / "image" / split / f"im{i}.png", noise(i))
        write(root / "alpha" / split / f"im{i}.png", alpha)
        write(
            root / "trimap" / split / f"im{i}.png", np.where((alpha > 0) & (alpha < 255), 128, alpha).astype(np.uint8)
        )
    return root


def label_folder(root: Path, count: int = 4, split: str = "", labels: str = "labels", num_classes: int = 3) -> Path:
    """`count` images with label maps, laid out for `SegmentationFolder`."""
    for i in range(count):
        write(root / "images" / split / f"im{i}.jpg", noise(i))
        label = np.random.default_rng(i).integers(0, num_classes, (6, 8)).repeat(10, 0).repeat(10, 1)
        write(root / labels / split / f"im{i}.png", label.astype(np.uint8))
    return root
