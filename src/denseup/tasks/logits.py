"""Logits at another size, a strip of rows at a time, and what is made of them there."""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

STRIP = 2**26
"""Numbers that are resized at once."""


def resized(logits: Tensor, size: tuple[int, int], numbers: int) -> Iterator[Tensor]:
    """Logits `[B, C, h, w]` resized bilinearly to `size`, in strips of rows of at most so many numbers, or a row each.

    Strips interpolate the rows first and only then the columns, which parts from the whole by rounding alone.
    """
    height, width = size
    if logits.shape[1] * height * width <= numbers:
        yield F.interpolate(logits, size=size, mode="bilinear", align_corners=False)
        return
    pixels = torch.arange(height, dtype=torch.float32, device=logits.device)
    position = ((pixels + 0.5) * (logits.shape[2] / height) - 0.5).clamp(min=0)
    above = position.floor().long().clamp(max=logits.shape[2] - 1)
    below, weight = (above + 1).clamp(max=logits.shape[2] - 1), (position - above).to(logits.dtype)[:, None]
    rows = max(numbers // (logits.shape[1] * width), 1)
    for part in torch.arange(height, device=logits.device).split(rows):
        strip = torch.lerp(logits[:, :, above[part]], logits[:, :, below[part]], weight[part])
        yield F.interpolate(strip, size=(len(part), width), mode="bilinear", align_corners=False)


def resized_argmax(logits: Tensor, size: tuple[int, int]) -> Tensor:
    """The largest channel at each pixel of `[B, C, h, w]` resized bilinearly to `size`; in strips if that is large."""
    return torch.cat([strip.argmax(1) for strip in resized(logits, size, STRIP)], 1)


def probabilities(views: Sequence[Tensor], size: tuple[int, int]) -> Iterator[Tensor]:
    """The mean over views of the softmax of their logits, each resized bilinearly to `size`; in strips of rows."""
    for strips in zip(*(resized(logits, size, STRIP // len(views)) for logits in views), strict=True):
        mean = strips[0].softmax(1)
        for strip in strips[1:]:
            mean += strip.softmax(1)
        yield mean / len(views)
