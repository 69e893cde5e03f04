"""Sliding windows, the scores averaged where they overlap: the test mode "slide" of MMSegmentation."""

import torch
from torch import Tensor
from torch.nn import functional as F

from denseup.tasks import DenseTask
from denseup.tasks.watched import Batch


def window_starts(length: int, crop: int, stride: int) -> list[int]:
    """Where windows begin on one side: every `stride` pixels, the last one where it ends with the image.

    A side that is no longer than the window has one, as long as itself.
    """
    number = max(length - crop + stride - 1, 0) // stride + 1
    return [max(min(i * stride + crop, length) - crop, 0) for i in range(number)]


def sliding_scores(task: DenseTask, batch: Batch, crop: tuple[int, int], stride: tuple[int, int]) -> Tensor:
    """Scores `[B, C, H, W]` of an image: at each pixel the mean of those of the windows that see it.

    The scores of a window are resized bilinearly to its size, and each window is padded as an image of its size is. An
    image that one window covers is seen as a whole, so that nothing but the windows makes a difference.

    Args:
        task: gives the scores.
        batch: "image", and the task's prompts.
        crop, stride: height and width, in pixels.
    """
    height, width = batch["image"].shape[2:]
    tops, lefts = (window_starts(*sides) for sides in zip((height, width), crop, stride, strict=True))
    if len(tops) == len(lefts) == 1:
        return task.scores(batch)
    total, seen = None, torch.zeros(height, width, dtype=torch.float32, device=batch["image"].device)
    for top in tops:
        for left in lefts:
            rows, columns = slice(top, min(top + crop[0], height)), slice(left, min(left + crop[1], width))
            scores = _filling(task.scores(cut(task, batch, rows, columns)), (rows, columns))
            if total is None:
                total = scores.new_zeros(*scores.shape[:2], height, width)
            total[..., rows, columns] += scores
            seen[rows, columns] += 1
    assert total is not None
    return total / seen


def cut(task: DenseTask, batch: Batch, rows: slice, columns: slice) -> Batch:
    """A window of what the network sees."""
    maps = {key: batch[key][..., rows, columns] for key in ("image", *task.prompts)}
    return {**maps, "name": batch.get("name", ())}


def _filling(scores: Tensor, window: tuple[slice, slice]) -> Tensor:
    size = [part.stop - part.start for part in window]
    return F.interpolate(scores, size, mode="bilinear", align_corners=False)
