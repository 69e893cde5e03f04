"""Public functions: point by point, so that no map of P·C channels is made."""

import torch
from torch import Tensor

from denseup.ops.sampling import sample_bilinear


def point_similarity(query: Tensor, key: Tensor, positions: Tensor) -> Tensor:
    """Inner products of every output pixel with P points of a map, which are read by bilinear interpolation.

    Args:
        query: `[B, C, H, W]`.
        key: `[B, C, h, w]`.
        positions: `[B, P, 2, G, H, W]`, columns first, in pixels of `key`, for each of G groups of channels.

    Returns:
        `[B, G, P, H, W]`, with the dtype of `query`.
    """
    groups = positions.shape[3]
    products = [
        (query * sample_bilinear(key, at.flatten(1, 2), groups, padding="zeros")).unflatten(1, (groups, -1)).sum(2)
        for at in positions.unbind(1)
    ]
    return torch.stack(products, 2)


def gather_points(value: Tensor, weights: Tensor, positions: Tensor) -> Tensor:
    """Weighted sums over P points of a map, which are read by bilinear interpolation.

    Args:
        value: `[B, C, h, w]`.
        weights: `[B, G, P, H, W]`.
        positions: as for `point_similarity`, in pixels of `value`.

    Returns:
        `[B, C, H, W]`, with the dtype of `value`.
    """
    groups, total = positions.shape[3], torch.zeros((), dtype=value.dtype, device=value.device)
    for at, weight in zip(positions.unbind(1), weights.unbind(2), strict=True):
        read = sample_bilinear(value, at.flatten(1, 2), groups, padding="zeros").unflatten(1, (groups, -1))
        total = total + weight.unsqueeze(2) * read
    return total.flatten(1, 2)
