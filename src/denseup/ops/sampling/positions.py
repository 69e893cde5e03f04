"""Reference back end of sampling at positions in pixels: torch's kernels, by its coordinates; any device and dtype."""

from torch import Tensor

from denseup.ops.sampling import reference
from denseup.ops.sampling.grid import by_grid, gradients_by_grid

NAME = "reference"


def unsupported_reasons(x: Tensor, positions: Tensor, groups: int) -> list[str]:
    """Nothing ever stands against it."""
    return []


def sample(x: Tensor, positions: Tensor, groups: int, padding: str) -> Tensor:
    """`[B, C, h, w]`, `[B, 2·G, H, W]` → `[B, C, H, W]`."""
    return by_grid(reference.sample, x, positions, groups, padding)


def sample_backward(grad: Tensor, x: Tensor, positions: Tensor, groups: int, padding: str) -> tuple[Tensor, Tensor]:
    """Gradients of `x` and `positions`."""
    return gradients_by_grid(reference.sample_backward, grad, x, positions, groups, padding)
