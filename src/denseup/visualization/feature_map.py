"""A feature map of many channels as one grey picture, and pictures of several of them with one sign."""

from collections.abc import Mapping

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

UInt8 = NDArray[np.uint8]

PERCENTILES = (2, 98)
"""Of the values of a map: what is drawn black and white."""


def principal_map(maps: Tensor, max_side: int | None = None) -> UInt8:
    """The first principal component of a feature map over its pixels, as a grey picture.

    Channels of two networks, or of one network at two steps, do not correspond, so no rule may name a channel. The
    principal component is the mixture of channels that varies most over the image. It stays the same when channels
    are permuted, rotated or negated, but for its own sign, which is arbitrary (`same_sign`). The size of the values
    says nothing, for the next layer scales it at will: black and white are the same percentiles in every picture.

    Args:
        maps: `[C, H, W]`, floating point; values that are not finite count as 0.
        max_side: a larger picture is shrunk to this longer side by averaging; None keeps the size.

    Returns:
        uint8 [h, w]; black for a constant map.

    Raises:
        ValueError: maps is not `[C, H, W]`.
    """
    if maps.dim() != 3:
        raise ValueError(f"maps is {list(maps.shape)}, expected [C, H, W]")
    x = torch.nan_to_num(maps.detach().float(), posinf=0.0, neginf=0.0).flatten(1)
    x = x - x.mean(1, keepdim=True)
    x = x / x.abs().max().clamp_min(torch.finfo(x.dtype).tiny)  # squares of large features overflow
    _, directions = torch.linalg.eigh((x @ x.T).cpu().double())
    component = (directions[:, -1].to(x) @ x).reshape(maps.shape[1:]).cpu().numpy()
    return _grey(_shrunk(component, max_side))


def same_sign(frames: Mapping[int, UInt8], reference: UInt8) -> dict[int, UInt8]:
    """Pictures of one feature map at several steps, inverted where need be.

    The last one is inverted if it correlates negatively with the reference, every other one if it does so with the one
    after it: the sign of a principal component is arbitrary.

    Args:
        frames: step → [H, W], all of one size.
        reference: [h, w] of any size, such as the image in grey.

    Returns:
        By increasing step.
    """
    signed: dict[int, UInt8] = {}
    for step in sorted(frames, reverse=True):
        frame = frames[step]
        signed[step] = reference = frame if _covariance(frame, reference) >= 0 else 255 - frame
    return dict(sorted(signed.items()))


def _shrunk(x: NDArray[np.float32], max_side: int | None) -> NDArray[np.float32]:
    scale = 1.0 if max_side is None else max_side / max(x.shape)
    if scale >= 1:
        return x
    size = (max(round(x.shape[1] * scale), 1), max(round(x.shape[0] * scale), 1))
    return np.asarray(cv2.resize(x, size, interpolation=cv2.INTER_AREA), np.float32)


def _grey(x: NDArray[np.float32]) -> UInt8:
    black, white = np.percentile(x, PERCENTILES)
    stretched = (x - black) / max(white - black, 1e-12)
    return (stretched.clip(0, 1) * 255).round().astype(np.uint8)


def _covariance(one: UInt8, other: UInt8) -> float:
    resized = np.asarray(cv2.resize(other, (one.shape[1], one.shape[0]), interpolation=cv2.INTER_AREA), np.float64)
    return float(((one - one.mean()) * (resized - resized.mean())).mean())
