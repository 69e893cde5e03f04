"""Attention over points by sampling one point at a time, so that no map of P·C channels is made.

`Sampling` is what reads the map: torch's kernels, or differentiable operators.
"""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from denseup.ops.arithmetic import by_group

PADDING = "zeros"


class Sampling(NamedTuple):
    """Sampling at positions in pixels, `[B, C, h, w]` and `[B, 2·G, H, W]`; as in `ops.sampling`."""

    read: Callable[[Tensor, Tensor, int, str], Tensor]
    """Map, positions, groups, padding → `[B, C, H, W]`."""
    backward: Callable[[Tensor, Tensor, Tensor, int, str], tuple[Tensor, Tensor]]
    """Gradient of that and the same → gradients of map and positions."""


def similarity(by: Sampling, query: Tensor, key: Tensor, positions: Tensor) -> Tensor:
    """`[B, C, H, W]`, `[B, C, h, w]`, `[B, P, 2, G, H, W]` → `[B, G, P, H, W]`."""
    groups = positions.shape[3]
    products = [by_group(query * by.read(key, at, groups, PADDING), groups).sum(2) for at in _points(positions)]
    return torch.stack(products, 2)


def gather(by: Sampling, value: Tensor, weights: Tensor, positions: Tensor) -> Tensor:
    """`[B, C, h, w]`, `[B, G, P, H, W]`, `[B, P, 2, G, H, W]` → `[B, C, H, W]`."""
    total: Tensor | None = None
    for at, weight in zip(_points(positions), weights.unbind(2), strict=True):
        part = _weighed(by.read(value, at, positions.shape[3], PADDING), weight)
        total = part if total is None else total + part
    assert total is not None
    return total


def similarity_backward(
    by: Sampling, grad: Tensor, query: Tensor, key: Tensor, positions: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients of query, key and positions."""
    groups, of_positions = positions.shape[3], []
    of_query, of_key = torch.zeros_like(query), torch.zeros_like(key)
    for at, slope in zip(_points(positions), grad.unbind(2), strict=True):
        of_query = of_query + _weighed(by.read(key, at, groups, PADDING), slope)
        of_map, of_point = by.backward(_weighed(query, slope), key, at, groups, PADDING)
        of_key = of_key + of_map
        of_positions.append(of_point)
    return of_query, of_key, _positions(of_positions, groups)


def gather_backward(
    by: Sampling, grad: Tensor, value: Tensor, weights: Tensor, positions: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients of value, weights and positions."""
    groups, of_positions, of_weights = positions.shape[3], [], []
    of_value = torch.zeros_like(value)
    for at, weight in zip(_points(positions), weights.unbind(2), strict=True):
        of_weights.append(by_group(grad * by.read(value, at, groups, PADDING), groups).sum(2))
        of_map, of_point = by.backward(_weighed(grad, weight), value, at, groups, PADDING)
        of_value = of_value + of_map
        of_positions.append(of_point)
    return of_value, torch.stack(of_weights, 2), _positions(of_positions, groups)


def _points(positions: Tensor) -> Iterator[Tensor]:
    """Of each point the positions as sampling takes them, `[B, 2·G, H, W]`."""
    return (at.flatten(1, 2) for at in positions.unbind(1))


def _positions(of_points: list[Tensor], groups: int) -> Tensor:
    """The inverse of `_points`."""
    stacked = torch.stack(of_points, 1)
    return stacked.reshape(*stacked.shape[:2], 2, groups, *stacked.shape[3:])


def _weighed(x: Tensor, weight: Tensor) -> Tensor:
    """`[B, C, H, W]` times one of `[B, G, H, W]` for each group."""
    return (by_group(x, weight.shape[1]) * weight[:, :, None]).flatten(1, 2)
