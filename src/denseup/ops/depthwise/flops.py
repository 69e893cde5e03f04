"""How many FLOPs a depthwise convolution takes."""

from math import prod
from typing import Any

from denseup.ops.depthwise.arguments import output_length


def of_depthwise(x_shape: Any, weight_shape: Any, stride: int, padding: int, *args: Any, **kwargs: Any) -> int:
    """torch counts a multiply-add as 2: one for each tap of an output value."""
    batch, channels, *size = x_shape
    taps = weight_shape[2]
    outputs = prod(output_length(length, taps, stride, padding) for length in size)
    return int(2 * taps**2 * batch * channels * outputs)


def of_backward(
    grad_shape: Any, x_shape: Any, weight_shape: Any, stride: int, padding: int, needs: Any, *args: Any, **kwargs: Any
) -> int:
    """As many again for each gradient."""
    return of_depthwise(x_shape, weight_shape, stride, padding) * sum(map(bool, needs))
