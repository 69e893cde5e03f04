"""mmcv's CARAFE functions and layers, by its names and arguments, for every device and dtype.

Masks are `[B, G·K², s·h, s·w]`, group-major, and normalised by whoever calls, as mmcv has them. A call for which a
compiled mmcv has a kernel goes to that kernel; every other one to `denseup.ops.reassemble`.
"""

import sys
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from denseup.ops import reassemble
from denseup.ops.arguments import whole_number
from denseup.ops.reassembly.mmcv import MAX_KERNEL_CHANNELS

KERNEL_DEVICES = ("cuda", "musa", "mlu", "npu")
"""Devices for which builds of mmcv have a kernel."""


def carafe(features: Tensor, masks: Tensor, kernel_size: int, group_size: int, scale_factor: int) -> Tensor:
    """Content-aware reassembly: `mmcv.ops.carafe`.

    Args:
        features: `[B, C, h, w]`.
        masks: weights of the taps, `[B, group_size·kernel_size², scale_factor·h, scale_factor·w]`.
        kernel_size: odd.
        group_size: G groups of channels, each with weights of its own.
        scale_factor: of both directions.

    Returns:
        `[B, C, scale_factor·h, scale_factor·w]`, with the dtype of `features`.

    Raises:
        ValueError: an argument does not fit.
    """
    return _carafe("CARAFEFunction", features, masks, kernel_size, group_size, scale_factor)


def carafe_naive(features: Tensor, masks: Tensor, kernel_size: int, group_size: int, scale_factor: int) -> Tensor:
    """`mmcv.ops.carafe_naive`: the same values and arguments as `carafe`; of mmcv's kernels the simpler one."""
    return _carafe("CARAFENaiveFunction", features, masks, kernel_size, group_size, scale_factor)


def _carafe(function: str, features: Tensor, masks: Tensor, *numbers: int) -> Tensor:
    kernel_size, group_size, scale_factor = numbers
    theirs = _kernel_of_mmcv(function, features, group_size * kernel_size**2)
    if theirs is not None:
        out: Tensor = theirs.apply(features, masks, *numbers)
        return out
    scale_factor = whole_number("scale_factor", scale_factor)
    size = tuple(scale_factor * side for side in features.shape[2:])
    if masks.shape[2:] != size:
        raise ValueError(
            f"masks is {tuple(masks.shape[2:])} in size, expected {size}, scale_factor, {scale_factor}, times features"
        )
    return reassemble(features, masks, kernel_size, group_size)


def _kernel_of_mmcv(function: str, features: Tensor, kernel_channels: int) -> Any:
    """mmcv's autograd function, if there is a compiled mmcv and the call is one for its kernel; else None."""
    theirs = vars(sys.modules["mmcv.ops.carafe"]).get(function)
    if features.device.type not in KERNEL_DEVICES or features.dtype is torch.bfloat16:
        return None
    return None if kernel_channels > MAX_KERNEL_CHANNELS else theirs


class CARAFENaive(nn.Module):
    """`carafe_naive` as a module; arguments as there."""

    def __init__(self, kernel_size: int, group_size: int, scale_factor: int) -> None:
        super().__init__()
        self.kernel_size, self.group_size, self.scale_factor = kernel_size, group_size, scale_factor

    def forward(self, features: Tensor, masks: Tensor) -> Tensor:
        """`[B, C, h, w]`, `[B, G·K², s·h, s·w]` → `[B, C, s·h, s·w]`."""
        return carafe_naive(features, masks, self.kernel_size, self.group_size, self.scale_factor)


class CARAFE(nn.Module):
    """`carafe` as a module; arguments as there."""

    def __init__(self, kernel_size: int, group_size: int, scale_factor: int) -> None:
        super().__init__()
        self.kernel_size, self.group_size, self.scale_factor = kernel_size, group_size, scale_factor

    def forward(self, features: Tensor, masks: Tensor) -> Tensor:
        """`[B, C, h, w]`, `[B, G·K², s·h, s·w]` → `[B, C, s·h, s·w]`."""
        return carafe(features, masks, self.kernel_size, self.group_size, self.scale_factor)


class CARAFEPack(nn.Module):
    """The whole upsampler (Wang et al., ICCV 2019) with mmcv's arguments and names of parameters: its files load.

    `denseup.CARAFE` is the same operator in this library's words, for any size.

    Args:
        channels: of the features.
        scale_factor: of both directions.
        up_kernel: K of the reassembly, odd.
        up_group: groups of channels with weights of their own.
        encoder_kernel: of the convolution that predicts the weights, odd.
        encoder_dilation: of the same convolution.
        compressed_channels: between the two convolutions.
    """

    def __init__(
        self,
        channels: int,
        scale_factor: int,
        up_kernel: int = 5,
        up_group: int = 1,
        encoder_kernel: int = 3,
        encoder_dilation: int = 1,
        compressed_channels: int = 64,
    ) -> None:
        super().__init__()
        self.channels, self.scale_factor = channels, scale_factor
        self.up_kernel, self.up_group = up_kernel, up_group
        self.channel_compressor = nn.Conv2d(channels, compressed_channels, 1)
        self.content_encoder = nn.Conv2d(
            compressed_channels,
            up_group * up_kernel**2 * scale_factor**2,
            encoder_kernel,
            padding=(encoder_kernel - 1) * encoder_dilation // 2,
            dilation=encoder_dilation,
        )
        self.init_weights()

    def init_weights(self) -> None:
        """Xavier uniform for the compressor, N(0, 0.001) for the encoder; mmengine calls it."""
        nn.init.xavier_uniform_(self.channel_compressor.weight)
        nn.init.normal_(self.content_encoder.weight, std=0.001)
        for convolution in (self.channel_compressor, self.content_encoder):
            nn.init.zeros_(convolution.get_parameter("bias"))

    def forward(self, x: Tensor) -> Tensor:
        """`[B, C, h, w]` → `[B, C, s·h, s·w]`."""
        logits = F.pixel_shuffle(self.content_encoder(self.channel_compressor(x)), self.scale_factor)
        masks = logits.unflatten(1, (self.up_group, -1)).softmax(2).flatten(1, 2)
        return carafe(x, masks, self.up_kernel, self.up_group, self.scale_factor)
