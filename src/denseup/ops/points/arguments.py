"""What attention over points asks of its arguments."""

from torch import Tensor

from denseup.ops.arguments import check_alike, check_device, check_floats, check_groups, check_map, check_shape

POSITIONS = "[B, P, 2, G, H, W]"


def check_positions(positions: Tensor, name: str, x: Tensor) -> None:
    """`[B, P, 2, G, H, W]` for the map `x` `[B, C, h, w]`, which errors call `name`."""
    check_map(name, x)
    check_floats("positions", positions, 6, POSITIONS)
    batch, points, axes, groups, height, width = positions.shape
    if batch != x.shape[0] or axes != 2 or points < 1 or groups < 1 or height < 1 or width < 1:
        expected = f"[{x.shape[0]}, P, 2, G, H, W] with P, G, H and W ≥ 1 and the batch of {name}"
        raise ValueError(f"positions has shape {list(positions.shape)}, expected {expected}")
    check_groups(groups, x.shape[1], name)
    check_device("positions", positions, name, x)


def check_similarity(query: Tensor, key: Tensor, positions: Tensor) -> None:
    """A query `[B, C, H, W]`, a key `[B, C, h, w]` and positions."""
    check_map("query", query, "[B, C, H, W]")
    check_positions(positions, "key", key)
    expected = [*key.shape[:2], *positions.shape[4:]]
    check_shape("query", query, expected, "as key and positions have")
    check_device("query", query, "key", key)


def check_gather(value: Tensor, weights: Tensor, positions: Tensor) -> None:
    """A value `[B, C, h, w]`, weights `[B, G, P, H, W]` and positions."""
    check_positions(positions, "value", value)
    _check_of_points("weights", weights, positions)
    check_device("weights", weights, "value", value)


def check_similarity_call(query: Tensor, key: Tensor, positions: Tensor, backend: str = "") -> None:
    """Arguments of the operator `point_similarity`: the same, of one dtype."""
    check_similarity(query, key, positions)
    check_alike("query", query, "key", key)
    check_alike("positions", positions, "key", key)


def check_similarity_backward(grad: Tensor, query: Tensor, key: Tensor, positions: Tensor, backend: str = "") -> None:
    """The same, and the gradient of the result `[B, G, P, H, W]`."""
    check_similarity_call(query, key, positions)
    _check_of_points("grad", grad, positions)
    check_alike("grad", grad, "key", key)


def check_gather_call(value: Tensor, weights: Tensor, positions: Tensor, backend: str = "") -> None:
    """Arguments of the operator `gather_points`: as of `check_gather`, of one dtype."""
    check_gather(value, weights, positions)
    check_alike("weights", weights, "value", value)
    check_alike("positions", positions, "value", value)


def check_gather_backward(grad: Tensor, value: Tensor, weights: Tensor, positions: Tensor, backend: str = "") -> None:
    """The same, and the gradient of the result `[B, C, H, W]`."""
    check_gather_call(value, weights, positions)
    check_shape("grad", grad, [*value.shape[:2], *positions.shape[4:]], "as value and positions have")
    check_alike("grad", grad, "value", value)


def _check_of_points(name: str, x: Tensor, positions: Tensor) -> None:
    check_floats(name, x, 5, "[B, G, P, H, W]")
    batch, points, _, groups, *size = positions.shape
    check_shape(name, x, [batch, groups, points, *size], "as positions has")
