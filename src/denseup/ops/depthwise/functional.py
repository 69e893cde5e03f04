"""Public function: choose a back end, call the operator."""

from typing import cast

import torch
from torch import Tensor

from denseup.ops import transforms
from denseup.ops.convolutions import is_transformed
from denseup.ops.depthwise import reference
from denseup.ops.depthwise.arguments import check_depthwise
from denseup.ops.depthwise.backends import BACKENDS
from denseup.ops.depthwise.operators import depthwise
from denseup.ops.dispatch import REFERENCE
from denseup.ops.geometry import like_layout


def convolve_channels(x: Tensor, weight: Tensor, stride: int, padding: int) -> Tensor:
    """Convolve every channel on its own.

    Args:
        x: `[B, C, H, W]`.
        weight: `[1, C, k, k]` for all images, or `[B, C, k, k]`.
        stride: of both directions.
        padding: rows and columns of zeros at every side.

    Returns:
        `[B, C, (H + 2·padding - k) // stride + 1, …]`, in the layout of `x`.

    Raises:
        ValueError: an argument does not fit; the message names it.
    """
    if is_transformed(x) or transforms.is_taken_apart():
        return reference.convolve(x, weight, stride, padding)
    check_depthwise(x, weight, stride, padding)
    chosen = BACKENDS.choose(None, x, weight)
    if chosen != REFERENCE:
        return cast(Tensor, depthwise(x, weight, stride, padding, chosen))
    out = reference.convolve(x, weight, stride, padding)
    return out if torch.compiler.is_compiling() else like_layout(out, x)
