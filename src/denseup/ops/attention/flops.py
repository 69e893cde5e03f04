"""How many FLOPs neighbourhood attention takes, for torch's FLOP counter, which counts a multiply-add as 2.

A product over the taps has one multiply-add for each of them, each output pixel and channel. The softmax is
elementwise, which torch does not count.
"""

from typing import Any


def of_attention(
    query_shape: Any, key_shape: Any, value_shape: Any, kernel_size: int, *args: Any, **kwargs: Any
) -> int:
    """One product with the keys, one with the values."""
    return _product(query_shape, key_shape, kernel_size, query_shape[1] + value_shape[1])


def of_attention_backward(
    grad_shape: Any, query_shape: Any, key_shape: Any, value_shape: Any, kernel_size: int, *args: Any, **kwargs: Any
) -> int:
    """The weights once more, their gradient, and those of query, key and value."""
    return _product(query_shape, key_shape, kernel_size, 3 * query_shape[1] + 2 * value_shape[1])


def _product(query_shape: Any, key_shape: Any, kernel_size: int, channels: int) -> int:
    batch, _, height, width = query_shape
    taps = min(kernel_size, key_shape[2]) * min(kernel_size, key_shape[3])
    total: int = 2 * taps * channels * batch * height * width
    return total
