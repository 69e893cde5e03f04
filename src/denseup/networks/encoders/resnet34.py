"""ResNet-34 of the matting networks (He et al., CVPR 2016, arXiv:1512.03385; Dai et al., CVPR 2021, arXiv:2011.14288).

Layers 3-4-4, output stride 16, and no strided convolution on the main path: the stem keeps the size, and each of the
four places where the map is halved is left to whoever undoes it later.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor, nn

from denseup.networks.blocks import ResidualBlock, conv_abn, xavier
from denseup.networks.encoders.base import Pool, PoolingEncoder, max_pool
from denseup.networks.encoders.fetching import check_complete
from denseup.networks.encoders.mit_keys import named, sizes_in
from denseup.networks.encoders.registry import register_encoder
from denseup.networks.encoders.resnet_keys import OTHERS, resnet_in
from denseup.networks.encoders.widening import RGB
from denseup.weights import Shapes, read_weights, shapes_of

STEM = "stem.0.weight"
RESNET34_URL = "https://download.pytorch.org/models/resnet34-b627a593.pth"


@register_encoder("resnet34")
class ResNet34(PoolingEncoder):
    """Stem and three ResNet layers: five maps at strides 1, 2, 4, 8, 16, the first two of the stem.

    Args:
        in_channels: of the input.
        width: channels of the stem; 64 is ResNet-34, less is a small preset.
        depths: residual blocks in layers 1-3.
        pretrained: ImageNet weights of a ResNet-34 of torchvision or timm: a file, or True to download torchvision's.
            Input channels beyond RGB start at zero. Only for width 64.
    """

    def __init__(
        self,
        *,
        in_channels: int = 3,
        width: int = 64,
        depths: Sequence[int] = (3, 4, 4),
        pretrained: str | Path | bool = False,
    ) -> None:
        super().__init__()
        self.in_channels = in_channels
        self.channels = [width, width, width, 2 * width, 4 * width]
        self.strides = [1, 2, 4, 8, 16]
        self.guides = [width, width, 2 * width, 4 * width]
        self.pretrained = pretrained
        self.stem = nn.Sequential(*conv_abn(in_channels, width, 7))
        self.layer1 = _layer(width, width, 1, depths[0])
        self.layer2 = _layer(width, 2 * width, 2, depths[1])
        self.layer3 = _layer(2 * width, 4 * width, 2, depths[2])
        if pretrained:
            self.load_imagenet(pretrained)

    def reset_parameters(self) -> None:
        """Xavier normal for every convolution, and then the pretrained weights, if there are any."""
        xavier(self)
        if self.pretrained:
            self.load_imagenet(self.pretrained)

    def load_imagenet(self, source: str | Path | Literal[True]) -> None:
        """Load a ResNet-34 of torchvision or timm, which have the same keys; input channels beyond RGB start at zero.

        Raises:
            ValueError: a weight is missing or has another shape, another network's weights, or none to be had.
        """
        where = f"encoder.pretrained={source}"
        weights = _downloaded() if isinstance(source, bool) else read_weights(source, "encoder.pretrained")
        _check_kind(shapes_of(weights), where)
        own = self.state_dict()
        found = {name: weights[key] for name in own if (key := _torchvision_key(name)) in weights}
        if (stem := found.get(STEM)) is not None:
            zeros = stem.new_zeros(stem.shape[0], max(own[STEM].shape[1] - RGB, 0), *stem.shape[2:])
            found[STEM] = torch.cat([stem, zeros], 1)
        names = {name: _torchvision_key(name) for name in own}  # an error says them as they stand in the file
        expected, came = ({names[key]: shape for key, shape in shapes_of(part).items()} for part in (own, found))
        check_complete(expected, came, where)
        self.load_state_dict(found)

    def forward(self, x: Tensor, pools: Sequence[Pool] | None = None) -> list[Tensor]:
        """`[B, in_channels, H, W]` → maps at strides 1, 2, 4, 8, 16; `pools`: four, or None for max pooling."""
        pools = pools or [max_pool] * 4
        l0 = self.stem(x)
        l0p = pools[0](l0)
        l1 = self.layer1(pools[1](l0p))
        l2 = _halving(self.layer2, l1, pools[2])
        l3 = _halving(self.layer3, l2, pools[3])
        return [l0, l0p, l1, l2, l3]


def _halving(layer: nn.Sequential, x: Tensor, pool: Pool) -> Tensor:
    """A layer whose first block is halved between its two convolutions."""
    first, *rest = layer
    assert isinstance(first, ResidualBlock)
    y = first.reduce(pool(first.expand(x)), x)
    for block in rest:
        y = block(y)
    return y


def _layer(in_channels: int, out_channels: int, stride: int, depth: int) -> nn.Sequential:
    blocks = [ResidualBlock(in_channels, out_channels, stride)]
    blocks += [ResidualBlock(out_channels, out_channels) for _ in range(depth - 1)]
    return nn.Sequential(*blocks)


def _downloaded() -> dict[str, Tensor]:
    """torchvision's weights; ValueError where they can't be had."""
    try:
        return torch.hub.load_state_dict_from_url(RESNET34_URL, map_location="cpu", check_hash=True, weights_only=True)
    except (OSError, RuntimeError) as error:
        raise ValueError(
            f"encoder.pretrained=True: {RESNET34_URL} can't be fetched ({error}); fetch it where there is a network, "
            "and say encoder.pretrained=FILE"
        ) from error


def _check_kind(shapes: Shapes, where: str) -> None:
    """ValueError if weights are those of another network, as far as it can be told which."""
    found, sizes = resnet_in(shapes), sizes_in(shapes)
    if sizes or found in OTHERS:
        raise ValueError(f"{where}: weights of {named(sizes) if sizes else found}, but resnet34 is asked for")


def _torchvision_key(name: str) -> str:
    """Our key → that of a torchvision ResNet."""
    name = name.replace("stem.0", "conv1").replace("stem.1", "bn1")
    return name.replace("proj_conv", "downsample.0").replace("proj_bn", "downsample.1")
