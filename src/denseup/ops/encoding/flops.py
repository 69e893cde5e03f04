"""How many FLOPs content encoding takes: those of convolutions by their definition, whatever way they are computed."""

from typing import Any


def of_encode(high_shape: Any, low_shape: Any, weight_shape: Any, *args: Any, **kwargs: Any) -> int:
    """A convolution of each map."""
    return _convolutions(high_shape, low_shape, weight_shape)


def of_encode_backward(
    grad_shape: Any, high_shape: Any, low_shape: Any, weight_shape: Any, needs: Any, *args: Any, **kwargs: Any
) -> int:
    """One convolution for the gradient of each map, and one with each map for that of the weights."""
    needs_high, needs_low, needs_weight, _ = needs
    of_maps = (high_shape if needs_high else None, low_shape if needs_low else None)
    total = _convolutions(*of_maps, weight_shape) if any(of_maps) else 0
    return total + (_convolutions(high_shape, low_shape, weight_shape) if needs_weight else 0)


def _convolutions(
    high_shape: tuple[int, ...] | None, low_shape: tuple[int, ...] | None, weight_shape: tuple[int, ...]
) -> int:
    outputs, channels, *taps = weight_shape
    pixels = sum(shape[0] * shape[2] * shape[3] for shape in (high_shape, low_shape) if shape is not None)
    return 2 * outputs * channels * taps[0] * taps[1] * pixels
