"""Features of the image itself, for stages that are finer than the finest map of an encoder."""

from collections.abc import Sequence
from itertools import takewhile

from torch import Tensor, nn
from torch.nn import functional as F

from denseup.networks.blocks import conv_abn


def finer_strides(stride: int, finest: int = 1) -> list[int]:
    """`finest` and its doubles below `stride`: of the stages that an encoder of this finest stride leaves over."""
    return list(takewhile(lambda s: s < stride, (finest * 2**i for i in range(32))))


class Details(nn.Module):
    """A convolution of the image at each of some strides, each of the map before it: the finest first.

    Args:
        in_channels: of the image.
        widths: channels of the maps.
        finest: stride of the first map; every other one has twice that of the map before it.
    """

    def __init__(self, in_channels: int, widths: Sequence[int], finest: int = 1) -> None:
        super().__init__()
        self.finest = finest
        into = [in_channels, *widths]
        self.layers = nn.ModuleList(nn.Sequential(*conv_abn(a, b)) for a, b in zip(into, widths, strict=False))

    def forward(self, x: Tensor) -> list[Tensor]:
        """`[B, in_channels, H, W]` → maps `[B, C_i, ⌈H/s⌉, ⌈W/s⌉]`."""
        maps: list[Tensor] = []
        for layer in self.layers:
            source, factor = (maps[-1], 2) if maps else (x, self.finest)
            maps.append(layer(F.avg_pool2d(source, factor, ceil_mode=True) if factor > 1 else source))
        return maps
