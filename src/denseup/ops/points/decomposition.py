"""Attention over points in torch's own operators: for `torch.func`, forward mode and second derivatives in
differentiable ones, for exporters by `grid_sample`, which they know. `backend` makes no difference here.
"""

from torch import Tensor

from denseup.ops.points import one_by_one
from denseup.ops.sampling import decomposition as sampling
from denseup.ops.sampling.grid import by_grid
from denseup.ops.sampling.reference import interpolate


def _interpolate(x: Tensor, positions: Tensor, groups: int, padding: str) -> Tensor:
    return by_grid(interpolate, x, positions, groups, padding)


_DIFFERENTIABLE = one_by_one.Sampling(sampling.sample_positions, sampling.sample_positions_backward)
_FOR_EXPORTERS = one_by_one.Sampling(_interpolate, sampling.sample_positions_backward)


def similarity(query: Tensor, key: Tensor, positions: Tensor, backend: str = "") -> Tensor:
    """`[B, C, H, W]`, `[B, C, h, w]`, `[B, P, 2, G, H, W]` → `[B, G, P, H, W]`."""
    return one_by_one.similarity(_DIFFERENTIABLE, query, key, positions)


def exported_similarity(query: Tensor, key: Tensor, positions: Tensor, backend: str = "") -> Tensor:
    """The same for exporters."""
    return one_by_one.similarity(_FOR_EXPORTERS, query, key, positions)


def similarity_backward(
    grad: Tensor, query: Tensor, key: Tensor, positions: Tensor, backend: str = ""
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients of query, key and positions."""
    return one_by_one.similarity_backward(_DIFFERENTIABLE, grad, query, key, positions)


def gather(value: Tensor, weights: Tensor, positions: Tensor, backend: str = "") -> Tensor:
    """`[B, C, h, w]`, `[B, G, P, H, W]`, `[B, P, 2, G, H, W]` → `[B, C, H, W]`."""
    return one_by_one.gather(_DIFFERENTIABLE, value, weights, positions)


def exported_gather(value: Tensor, weights: Tensor, positions: Tensor, backend: str = "") -> Tensor:
    """The same for exporters."""
    return one_by_one.gather(_FOR_EXPORTERS, value, weights, positions)


def gather_backward(
    grad: Tensor, value: Tensor, weights: Tensor, positions: Tensor, backend: str = ""
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients of value, weights and positions."""
    return one_by_one.gather_backward(_DIFFERENTIABLE, grad, value, weights, positions)
