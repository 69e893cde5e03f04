"""Reference back end: torch's convolutions; any device and dtype. Also the composed form of the operators."""

from collections.abc import Sequence

from torch import Tensor
from torch.nn import functional as F

from denseup.ops.convolutions import convolution_backward
from denseup.ops.geometry import size_of
from denseup.ops.nearest import resize_nearest, sum_of_cells

NAME = "reference"


def unsupported_reasons(high: Tensor, low: Tensor | None, weight: Tensor, bias: Tensor | None) -> list[str]:
    """Nothing ever stands against it."""
    return []


def encode(high: Tensor, low: Tensor | None, weight: Tensor, bias: Tensor | None) -> Tensor:
    """`[B, C, H, W]`, `[B, C, h, w]`, `[O, C, 3, 3]`, `[O]` → `[B, O, H, W]`."""
    logits = F.conv2d(high, weight, bias, padding=1)
    return logits if low is None else logits + resize_nearest(F.conv2d(low, weight, bias, padding=1), size_of(high))


def encode_backward(
    grad: Tensor, high: Tensor, low: Tensor | None, weight: Tensor, needs: Sequence[bool]
) -> tuple[Tensor | None, ...]:
    """Gradients of high, low, weight and bias of `encode`, of those that are needed."""
    needs_high, needs_low, needs_weight, needs_bias = needs
    of_high, of_weight, of_bias = convolution_backward(grad, high, weight, (needs_high, needs_weight, needs_bias))
    if low is None:
        return of_high, None, of_weight, of_bias
    raised = sum_of_cells(grad, size_of(low))
    of_low, *again = convolution_backward(raised, low, weight, (needs_low, needs_weight, needs_bias))
    both = (None if x is None or y is None else x + y for x, y in zip((of_weight, of_bias), again, strict=True))
    return of_high, of_low, *both
