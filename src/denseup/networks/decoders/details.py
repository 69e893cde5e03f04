"""Features of the input itself, where an encoder has none or does not see all of it."""

from collections.abc import Sequence
from itertools import takewhile

from torch import Tensor, nn
from torch.nn import functional as F

from denseup.networks.blocks import conv_abn


def finer_strides(stride: int, finest: int = 1) -> list[int]:
    """`finest` and its doubles below `stride`: of the stages that an encoder of this finest stride leaves over."""
    return list(takewhile(lambda s: s < stride, (finest * 2**i for i in range(32))))


class Details(nn.Module):
    """A convolution of the input at each of some strides, the finest first.

    Each is of the next finer map whose stride divides its own, or of the input if none does: of the map before it, as
    long as strides double.

    Args:
        in_channels: of the input.
        widths: channels of the maps.
        strides: of the maps, the finest first.
    """

    def __init__(self, in_channels: int, widths: Sequence[int], strides: Sequence[int]) -> None:
        super().__init__()
        self.sources = [_source(strides[:i], stride) for i, stride in enumerate(strides)]
        into = [in_channels if index is None else widths[index] for index, _ in self.sources]
        self.layers = nn.ModuleList(nn.Sequential(*conv_abn(a, b)) for a, b in zip(into, widths, strict=True))

    def forward(self, x: Tensor) -> list[Tensor]:
        """`[B, in_channels, H, W]` → maps `[B, C_i, ⌈H/s⌉, ⌈W/s⌉]`."""
        maps: list[Tensor] = []
        for layer, (index, factor) in zip(self.layers, self.sources, strict=True):
            source = x if index is None else maps[index]
            maps.append(layer(F.avg_pool2d(source, factor, ceil_mode=True) if factor > 1 else source))
        return maps


def _source(finer: Sequence[int], stride: int) -> tuple[int | None, int]:
    """Which map of the finer strides a map is made of, None for the input, and how many of its pixels make one."""
    index = next((i for i in reversed(range(len(finer))) if stride % finer[i] == 0), None)
    return index, stride if index is None else stride // finer[index]
