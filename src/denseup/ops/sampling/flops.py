"""How many FLOPs sampling takes."""

from typing import Any


def of_sample(x_shape: Any, grid_shape: Any, *args: Any, **kwargs: Any) -> int:
    """Four multiply-adds, 2 each, for every output value."""
    batch, height, width, _ = grid_shape
    return int(2 * 4 * batch * x_shape[1] * height * width)


def of_sample_backward(grad_shape: Any, x_shape: Any, grid_shape: Any, *args: Any, **kwargs: Any) -> int:
    """Once for the map, once for each of the two coordinates."""
    return 3 * of_sample(x_shape, grid_shape)


def of_sample_positions(x_shape: Any, positions_shape: Any, *args: Any, **kwargs: Any) -> int:
    """As `of_sample`."""
    batch, _, height, width = positions_shape
    return of_sample(x_shape, (batch, height, width, 2))


def of_sample_positions_backward(grad_shape: Any, x_shape: Any, positions_shape: Any, *args: Any, **kwargs: Any) -> int:
    """As `of_sample_backward`."""
    return 3 * of_sample_positions(x_shape, positions_shape)
