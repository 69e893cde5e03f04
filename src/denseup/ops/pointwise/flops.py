"""How many FLOPs a 1×1 convolution takes."""

from typing import Any


def of_convolve(x_shape: Any, weight_shape: Any, *args: Any, **kwargs: Any) -> int:
    """torch counts a multiply-add as 2."""
    batch, channels, height, width = x_shape
    return int(2 * weight_shape[0] * channels * batch * height * width)


def of_backward(
    grad_shape: Any, x_shape: Any, weight_shape: Any, to_shape: Any, parameters: Any, *args: Any, **kwargs: Any
) -> int:
    """As many again for the gradient of the map, and for that of the weights."""
    return of_convolve(x_shape, weight_shape) * ((to_shape is not None) + bool(parameters))
