"""FRFU, in its authors' logs RRFU: sampling at learned positions, then a filter of what was sampled (yisi-xj, 2025).

There is no paper; the definition is that of the published code (no licence is stated there; nothing is taken from it).

    O = conv1×1(de) · σ(conv1×1(de))                                        offsets in output pixels
    u = bilinear(de at ((y + ½ + O_y)·h/H - ½, (x + ½ + O_x)·w/W - ½)),     border repeated, for each group of channels
    k = softmax over K² of conv1×1(u) · σ(conv1×1(u));   out = reassemble(u, k)   at the output's resolution

At its start it is bilinear interpolation followed by a 3×3 mean with zeros beyond the map: a constant map keeps 4/9 of
its value in the corners. That is part of the definition.

Equals the authors' code where the output is exactly s times the input. Ours differs in: any size (the offsets of the
s-times grid are resized by nearest neighbour); positions in float32 at least (theirs have the dtype of the first call:
under bfloat16 autocast columns from 256 on fall on each other). Their copy for detection starts otherwise: offsets and
kernels of 0, gates drawn from N(0, 0.001).

Names of the authors → ours: in_channels → de_channels; offset_mask → offset_gate, sample_kernel → encode, kernel_mask →
encode_gate.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from denseup.ops import reassemble, resize_nearest, sample_bilinear
from denseup.ops.arithmetic import unflatten
from denseup.ops.convolutions import is_plain
from denseup.ops.geometry import Size, centre_grid, pixel_shuffle
from denseup.upsamplers.arguments import check_divides, odd_option, whole_option
from denseup.upsamplers.base import Upsampler
from denseup.upsamplers.registry import register_upsampler
from denseup.upsamplers.start import Start, neutral_kernels


@register_upsampler("frfu")
class FRFU(Upsampler):
    """Dynamic sampling followed by dynamic filtering.

    Args:
        de_channels, en_channels, scale_factor, start: see `Upsampler`; the guide only gives the size.
        groups: groups of channels, each with positions of its own.
        kernel_size: K of the filter, odd.

    Raises:
        ValueError: kernel_size is even, or groups does not divide the channels.
    """

    works_channels_last = True
    official_keys = {"offset_mask": "offset_gate", "sample_kernel": "encode", "kernel_mask": "encode_gate"}

    def __init__(
        self,
        de_channels: int,
        en_channels: int | None = None,
        scale_factor: int = 2,
        *,
        groups: int = 4,
        kernel_size: int = 3,
        start: Start = "published",
    ) -> None:
        super().__init__(de_channels, en_channels, scale_factor, start=start)
        self.groups, self.kernel_size = whole_option("groups", groups), odd_option("kernel_size", kernel_size)
        check_divides("groups", self.groups, self.de_channels)
        offsets, taps = 2 * self.groups * self.scale_factor**2, self.kernel_size**2
        self.offset, self.offset_gate = (nn.Conv2d(self.de_channels, offsets, 1) for _ in range(2))
        self.encode, self.encode_gate = (nn.Conv2d(self.de_channels, taps, 1) for _ in range(2))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Offsets N(0, 0.001), kernels N(0, 0.005), gates half open: bilinear interpolation and a 3×3 mean."""
        nn.init.normal_(self.offset.weight, std=0.001)
        nn.init.normal_(self.encode.weight, std=0.005)
        for gate in (self.offset_gate, self.encode_gate):
            nn.init.zeros_(gate.weight)
        for conv in (self.offset, self.offset_gate, self.encode, self.encode_gate):
            assert conv.bias is not None
            nn.init.zeros_(conv.bias)
        self.apply_start()

    def start_neutral(self) -> None:
        """The filter leaves its input nearly as it is, by the bias of the kernels, of which the gate takes half."""
        assert self.encode.bias is not None
        with torch.no_grad():
            self.encode.bias.copy_(2 * neutral_kernels(self.kernel_size, 1)[0].log())

    def upsample(self, de: Tensor, en: Tensor | None, size: Size, state: Any) -> Tensor:
        """`[B, C, h, w]` → `[B, C, *size]`."""
        offsets = self.offsets(de, size)
        sampled = sample_bilinear(de, centre_grid(de, size, offsets.dtype, self.groups) + offsets, self.groups)
        logits = _gated(sampled, self.encode, self.encode_gate)
        return reassemble(sampled, logits, self.kernel_size, normalize="softmax")

    def offsets(self, de: Tensor, size: Size) -> Tensor:
        """`[B, C, h, w]` → `[B, 2·G, *size]` in pixels of `de`, the columns of all groups first."""
        offsets = _gated(de, self.offset, self.offset_gate)
        by_axis = unflatten(offsets, 1, (self.groups, self.scale_factor**2, 2))  # x, y
        cells = by_axis.movedim(3, 1).flatten(1, 3)
        raised = pixel_shuffle(cells.to(torch.promote_types(cells.dtype, torch.float32)), self.scale_factor)
        x, y = resize_nearest(raised, size).chunk(2, 1)
        return torch.cat([x * (de.shape[3] / size[1]), y * (de.shape[2] / size[0])], 1)


def _gated(x: Tensor, value: nn.Conv2d, gate: nn.Conv2d) -> Tensor:
    """value(x) · σ(gate(x)), by one convolution.

    On some processors torch's bfloat16 gradient of a convolution with an odd number of outputs lets NaN leak into the
    pixel before (torch 2.13); those of both together are even.
    """
    if not (is_plain(value, 1) and is_plain(gate, 1)):
        gated: Tensor = value(x) * torch.sigmoid(gate(x))
        return gated
    assert value.bias is not None
    assert gate.bias is not None
    weight, bias = torch.cat([value.weight, gate.weight]), torch.cat([value.bias, gate.bias])
    of_value, of_gate = F.conv2d(x, weight, bias).chunk(2, 1)
    return of_value * torch.sigmoid(of_gate)
