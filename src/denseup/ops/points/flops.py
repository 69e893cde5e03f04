"""How many FLOPs attention over points takes, for torch's FLOP counter, which counts a multiply-add as 2.

A value of a point takes four multiply-adds to be read, and one to be compared or summed up.
"""

from typing import Any


def of_similarity(query_shape: Any, key_shape: Any, positions_shape: Any, *args: Any, **kwargs: Any) -> int:
    """Reading and comparing."""
    return 5 * _of_values(key_shape, positions_shape)


def of_gather(value_shape: Any, weights_shape: Any, positions_shape: Any, *args: Any, **kwargs: Any) -> int:
    """Reading and summing up."""
    return 5 * _of_values(value_shape, positions_shape)


def of_similarity_backward(
    grad_shape: Any, query_shape: Any, key_shape: Any, positions_shape: Any, *args: Any, **kwargs: Any
) -> int:
    """For each corner one for the key, one for the product that gives the positions'; and the query's."""
    return (4 + 4 + 5) * _of_values(key_shape, positions_shape)


def of_gather_backward(
    grad_shape: Any, value_shape: Any, weights_shape: Any, positions_shape: Any, *args: Any, **kwargs: Any
) -> int:
    """For each corner one for the value, one for the product that gives those of weights and positions."""
    return (4 + 4) * _of_values(value_shape, positions_shape)


def _of_values(map_shape: Any, positions_shape: Any) -> int:
    """A multiply-add for each point and channel."""
    batch, points, _, _, height, width = positions_shape
    return int(2 * batch * points * map_shape[1] * height * width)
