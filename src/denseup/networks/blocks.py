"""Building blocks of the matting networks' encoder and decoder.

"ABN" of the original is batch normalisation and leaky ReLU (slope 0.01).
"""

from torch import Tensor, nn
from torch.nn import functional as F

NEGATIVE_SLOPE = 0.01


def activated_norm(channels: int) -> list[nn.Module]:
    """BatchNorm and leaky ReLU, as modules to go into a Sequential."""
    return [nn.BatchNorm2d(channels), nn.LeakyReLU(NEGATIVE_SLOPE)]


def conv_abn(
    in_channels: int, out_channels: int, kernel_size: int = 3, dilation: int = 1, groups: int = 1
) -> list[nn.Module]:
    """A convolution that keeps the size, BatchNorm and leaky ReLU, as modules to go into a Sequential."""
    padding = dilation * (kernel_size // 2)
    conv = nn.Conv2d(in_channels, out_channels, kernel_size, 1, padding, dilation, groups, bias=False)
    return [conv, *activated_norm(out_channels)]


def xavier(module: nn.Module) -> None:
    """Xavier normal for every convolution of a module, and zero biases: the rule of the matting networks' authors."""
    gain = nn.init.calculate_gain("leaky_relu", NEGATIVE_SLOPE)
    for part in module.modules():
        if isinstance(part, nn.Conv2d):
            nn.init.xavier_normal_(part.weight, gain)
            if part.bias is not None:
                nn.init.zeros_(part.bias)


class ResidualBlock(nn.Module):
    """Two 3×3 convolutions and a shortcut: `[B, C_in, H, W]` → `[B, C_out, ⌈H/s⌉, ⌈W/s⌉]`, s = `stride`.

    With stride 2, the first convolution stays at full resolution: `expand` gives that map, the encoder feature that
    guides the decoder; whoever owns the down-sampling halves it and hands it to `reduce`.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int = 1) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, out_channels, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(out_channels)
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(out_channels)
        self.proj_conv: nn.Module = nn.Identity()
        self.proj_bn: nn.Module = nn.Identity()
        if stride != 1 or in_channels != out_channels:
            self.proj_conv = nn.Conv2d(in_channels, out_channels, 1, stride, bias=False)
            self.proj_bn = nn.BatchNorm2d(out_channels)

    def expand(self, x: Tensor) -> Tensor:
        """First convolution, at the resolution of `x`."""
        return F.leaky_relu(self.bn1(self.conv1(x)), NEGATIVE_SLOPE)

    def reduce(self, y: Tensor, x: Tensor) -> Tensor:
        """Second convolution on `y` (what became of `expand(x)`), and the shortcut from `x`."""
        return F.leaky_relu(self.bn2(self.conv2(y)) + self.proj_bn(self.proj_conv(x)), NEGATIVE_SLOPE)

    def forward(self, x: Tensor) -> Tensor:
        """Both, with nothing between; only for stride 1."""
        return self.reduce(self.expand(x), x)
