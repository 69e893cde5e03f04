"""How many FLOPs the operators of reassembly take, for torch's FLOP counter, which counts a multiply-add as 2.

Every contraction has K² multiply-adds for each output pixel and channel. Softmax and gate are elementwise, which torch
does not count.
"""

from typing import Any


def of_reassemble(de_shape: Any, kernels_shape: Any, kernel_size: int, *args: Any, **kwargs: Any) -> int:
    """One contraction; also for the adjoint."""
    return _contraction(de_shape[1], kernels_shape, kernel_size)


def of_similarity(query_shape: Any, key_shape: Any, kernel_size: int, *args: Any, **kwargs: Any) -> int:
    """One contraction."""
    return _contraction(query_shape[1], query_shape, kernel_size)


def of_softmax_reassemble(
    de_shape: Any, logits_shape: Any, en_shape: Any, gate_shape: Any, kernel_size: int, *args: Any, **kwargs: Any
) -> int:
    """One contraction."""
    return _contraction(de_shape[1], logits_shape, kernel_size)


def of_softmax_reassemble_backward(
    grad_shape: Any,
    de_shape: Any,
    logits_shape: Any,
    en_shape: Any,
    gate_shape: Any,
    kernel_size: int,
    *args: Any,
    **kwargs: Any,
) -> int:
    """A similarity and an adjoint."""
    return 2 * _contraction(grad_shape[1], logits_shape, kernel_size)


def _contraction(channels: int, high_shape: tuple[int, ...], kernel_size: int) -> int:
    batch, _, height, width = high_shape
    return 2 * kernel_size**2 * channels * batch * height * width
