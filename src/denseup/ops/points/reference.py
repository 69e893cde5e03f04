"""Reference back end: torch's own sampling, point by point; any device, any floating dtype."""

from torch import Tensor

from denseup.ops.points import one_by_one
from denseup.ops.sampling import positions as sampling

NAME = "reference"
_BY_TORCH = one_by_one.Sampling(sampling.sample, sampling.sample_backward)


def unsupported_reasons(x: Tensor, positions: Tensor) -> list[str]:
    """Nothing ever stands against it."""
    return []


def similarity(query: Tensor, key: Tensor, positions: Tensor) -> Tensor:
    """`[B, C, H, W]`, `[B, C, h, w]`, `[B, P, 2, G, H, W]` → `[B, G, P, H, W]`."""
    return one_by_one.similarity(_BY_TORCH, query, key, positions)


def similarity_backward(grad: Tensor, query: Tensor, key: Tensor, positions: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients of query, key and positions."""
    return one_by_one.similarity_backward(_BY_TORCH, grad, query, key, positions)


def gather(value: Tensor, weights: Tensor, positions: Tensor) -> Tensor:
    """`[B, C, h, w]`, `[B, G, P, H, W]`, `[B, P, 2, G, H, W]` → `[B, C, H, W]`."""
    return one_by_one.gather(_BY_TORCH, value, weights, positions)


def gather_backward(grad: Tensor, value: Tensor, weights: Tensor, positions: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients of value, weights and positions."""
    return one_by_one.gather_backward(_BY_TORCH, grad, value, weights, positions)
