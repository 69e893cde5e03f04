"""How many FLOPs the operators of down-sampling take, for torch's FLOP counter, which counts a multiply-add as 2.

Every contraction has k² multiply-adds for each low-resolution pixel and channel.
"""

from typing import Any


def of_downsample(features_shape: Any, kernels_shape: Any, kernel_size: int, *args: Any, **kwargs: Any) -> int:
    """One contraction."""
    return _contraction(kernels_shape, features_shape[1], kernel_size)


def of_gradient(grad_shape: Any, other_shape: Any, kernel_size: int, *args: Any, **kwargs: Any) -> int:
    """One contraction, whichever of the two gradients it is."""
    return _contraction(grad_shape, grad_shape[1], kernel_size)


def _contraction(low_shape: Any, channels: int, kernel_size: int) -> int:
    return int(2 * kernel_size**2 * channels * low_shape[0] * low_shape[2] * low_shape[3])
