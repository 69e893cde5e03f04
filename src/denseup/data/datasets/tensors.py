"""From numpy arrays to the tensors of a sample."""

import cv2
import numpy as np
import torch
from torch import Tensor

from denseup.data.reading.samples import Array


def image_tensor(image: Array) -> Tensor:
    """float32 [3, H, W] in [0, 1] from uint8 or float32 [H, W, 3]."""
    planes = np.empty((3, *image.shape[:2]), image.dtype)
    cv2.split(image, list(planes))
    channels = torch.from_numpy(planes)
    return channels.float().div_(255) if channels.dtype == torch.uint8 else channels.float()


def map_tensor(array: Array) -> Tensor:
    """[1, H, W] of the array's own dtype from [H, W]."""
    return torch.from_numpy(np.array(array[None]))


def label_tensor(label: Array) -> Tensor:
    """int64 [H, W] from uint8 [H, W]."""
    return torch.from_numpy(label.astype(np.int64))
