"""Public function: look whether the convolution may be taken apart, choose a back end, call the operator."""

from typing import cast

from torch import Tensor, nn

from denseup.ops import transforms
from denseup.ops.convolutions import is_plain, is_transformed
from denseup.ops.dispatch import REFERENCE
from denseup.ops.encoding.backends import BACKENDS
from denseup.ops.encoding.operators import encode
from denseup.ops.geometry import size_of
from denseup.ops.nearest import resize_nearest


def encode_content(
    convolution: nn.Module, high: Tensor, low: Tensor | None = None, *, backend: str | None = None
) -> Tensor:
    """Logits of the high-resolution map, and of a low-resolution one raised by nearest neighbour.

    Anything but a plain 3×3 `nn.Conv2d` (`ops.convolutions`) is simply called, whatever back end is asked for, and so
    is every convolution under autocast, `torch.func`, in forward mode, and where a model is exported to ONNX.

    Args:
        convolution: C → O channels, of a size-keeping kind.
        high: `[B, C, H, W]`.
        low: `[B, C, h, w]`, or None.
        backend: a name of `available_backends("encoding")`; None chooses.

    Returns:
        `[B, O, H, W]`.

    Raises:
        ValueError: `backend` is unknown or cannot serve the call.
    """
    if is_plain(convolution, 3) and not is_transformed(high) and not transforms.is_taken_apart():
        weight, bias = cast(nn.Conv2d, convolution).weight, cast(nn.Conv2d, convolution).bias
        chosen = BACKENDS.choose(backend, high, low, weight, bias)
        if chosen != REFERENCE:
            return cast(Tensor, encode(high, low, weight, bias, chosen))
    logits: Tensor = convolution(high)
    return logits if low is None else logits + resize_nearest(convolution(low), size_of(high))
