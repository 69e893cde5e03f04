"""Every encoder under both decoders, with upsamplers that look at the encoder, that do not, and that pool for it."""

import re
from typing import Any

import pytest
import torch
from networks.encoder_cases import CASES, MIT, Pyramid, encoder
from torch import nn

from denseup.checkpoints import load_official
from denseup.checkpoints.layouts import for_module
from denseup.networks import (
    MattingNetwork,
    MattingResNet34,
    SegFormer,
    SegFormerHead,
    SegmentationNetwork,
)
from denseup.networks.decoders.segformer import steps
from denseup.networks.encoders import as_encoder
from denseup.upsamplers import create_upsampler, list_upsamplers
from denseup.upsamplers.base import Upsampler

OPERATORS = ("fade", "carafe", "indexnet")
ODD = (37, 51)


IDLE = ("mask_token", "model.swin.layernorm.weight", "model.swin.layernorm.bias")
"""Parameters of transformers' backbones that their maps do not come through."""


def check_gradients(network: nn.Module) -> None:
    """Every parameter of the network itself gets one; an operator may have a use for less."""
    inside = {id(p) for m in network.modules() if isinstance(m, Upsampler) for p in m.parameters()}
    for key, parameter in network.named_parameters():
        if parameter.grad is None:
            assert id(parameter) in inside or key.endswith(IDLE), key
        else:
            assert parameter.grad.isfinite().all(), key


@pytest.mark.parametrize("operator", OPERATORS)
@pytest.mark.parametrize("case", CASES)
def test_matting(case: str, operator: str) -> None:
    torch.manual_seed(0)
    made = encoder(case, in_channels=4)
    network = MattingNetwork(made, operator, width=None if made.leaves_pooling else 4, dropout=0.0)
    out = network(torch.randn(2, 4, *ODD))
    assert out.shape == (2, 1, *ODD)
    out.square().mean().backward()
    check_gradients(network)


@pytest.mark.parametrize("operator", OPERATORS)
@pytest.mark.parametrize("case", CASES)
def test_segmentation(case: str, operator: str) -> None:
    torch.manual_seed(0)
    made = encoder(case)
    network = SegmentationNetwork(made, 5, operator, embed_dim=8, dropout=0.0)
    out = network(torch.randn(2, 3, *ODD))
    assert out.shape == (2, 5, -(-ODD[0] // 4), -(-ODD[1] // 4))
    assert network.head.strides[0] == 4
    assert network.head.steps
    out.square().mean().backward()
    check_gradients(network)


@pytest.mark.parametrize("operator", list_upsamplers())
@pytest.mark.parametrize("build", [MattingNetwork, SegmentationNetwork])
def test_every_upsampler_works_with_an_encoder_of_another_house(build: type[nn.Module], operator: str) -> None:
    """Also those of one factor: every stage doubles the size."""
    options = {"width": 8} if build is MattingNetwork else {"embed_dim": 8}
    network = build(CASES["convnext"], upsampler=operator, **options)
    x = torch.randn(2, network.in_channels, 64, 32)
    assert network(x).isfinite().all()


def test_an_encoder_by_name_with_options() -> None:
    network = MattingNetwork({"name": "resnet34", "width": 4, "depths": (1, 1, 1)}, "nearest")
    assert network.encoder.in_channels == 4
    assert [module.de_channels for module in network.upsamplers] == [16, 8, 4, 4]
    assert as_encoder("mit_b0", 3).channels == [32, 64, 160, 256]
    with pytest.raises(ValueError, match=r"encoder is {'width': 4}, expected its name as well: auto, "):
        MattingNetwork({"width": 4})


def test_a_decoder_that_mirrors_its_encoder_is_as_wide() -> None:
    with pytest.raises(ValueError, match="width is 8, expected that of the encoder, 4: the decoder mirrors ResNet34"):
        MattingNetwork(CASES["resnet34"], width=8)


@pytest.mark.parametrize(
    ("strides", "sizes"),
    [
        ([4, 8, 16, 32], [(3, 4), (5, 7), (10, 13), (19, 26), (37, 51)]),
        ([14, 14, 14], [(5, 7), (10, 13), (19, 26), (37, 51)]),
        ([1, 3], [(37, 51)]),
        ([2, 2, 8, 8], [(19, 26), (37, 51)]),
    ],
)
def test_stages_of_the_matting_decoder(strides: list[int], sizes: list[tuple[int, int]]) -> None:
    network, seen = MattingNetwork(Pyramid(strides), "nearest", width=2).eval(), []
    for module in network.upsamplers:
        module.register_forward_hook(lambda _module, _inputs, out: seen.append(tuple(out.shape[2:])))
    network(torch.randn(1, 4, *ODD))
    assert seen == sizes


def test_nothing_to_upsample_is_said() -> None:
    with pytest.raises(ValueError, match="the maps of Pyramid are all of the image's size"):
        MattingNetwork(Pyramid([1, 1]))


@pytest.mark.parametrize(
    ("strides", "expected"),
    [
        ([4, 8, 16, 32], [(3, 2), (3, 1), (3, 0), (2, 1), (2, 0), (1, 0)]),
        ([4, 8], [(1, 0)]),
        ([14, 14, 14, 14], []),
        ([4, 8, 16, 16], [(3, 1), (3, 0), (2, 1), (2, 0), (1, 0)]),
        ([4, 4, 8], [(2, 1)]),
    ],
)
def test_steps_of_the_head(strides: list[int], expected: list[tuple[int, int]]) -> None:
    assert steps(strides) == expected


def test_a_head_that_raises_nothing_says_so() -> None:
    with pytest.warns(UserWarning, match="all maps have the stride 14: nothing is raised"):
        SegFormerHead([3, 3], 2, "fade", embed_dim=4, strides=[14, 14])


@pytest.mark.parametrize("upsampler", ["fade", "indexnet"])
def test_published_networks_are_those_of_their_encoders(upsampler: str) -> None:
    """By name or by class: the same keys and, from one seed, the same weights; the authors' layouts hold for both."""
    pairs = [
        (
            lambda: MattingNetwork({"name": "resnet34", "width": 8, "depths": (1, 2, 1)}, upsampler),
            lambda: MattingResNet34(upsampler, width=8, depths=(1, 2, 1)),
        ),
        (
            lambda: SegmentationNetwork({"name": "mit_b0", **MIT}, 5, upsampler, embed_dim=8),
            lambda: SegFormer("b0", 5, upsampler, embed_dim=8, backbone=MIT),
        ),
    ]
    for pair in pairs:
        states = []
        for build in pair:
            torch.manual_seed(0)
            network = build()
            assert callable(for_module(network))
            states.append(network.state_dict())
        assert list(states[0]) == list(states[1])
        torch.testing.assert_close(*states, rtol=0, atol=0)


def test_no_layout_is_known_of_another_encoders_network() -> None:
    with pytest.raises(ValueError, match="there is no official layout for MattingNetwork"):
        load_official(MattingNetwork(CASES["convnext"], width=4), {})


def test_maps_of_one_stride_are_raised_together() -> None:
    head = SegFormerHead([3] * 4, 2, "fade", embed_dim=4, strides=[4, 8, 16, 16]).eval()
    maps = Pyramid([4, 8, 16, 16])(torch.randn(1, 4, 64, 64))
    assert head(maps).shape == (1, 2, 16, 16)


@pytest.mark.parametrize(
    ("channels", "strides", "message"),
    [
        ([8], None, "in_channels is [8], expected those of at least two maps"),
        ([8, 8], [8, 4], "strides is [8, 4], expected 2 numbers, finest first"),
        ([8, 8], [4, 8, 16], "strides is [4, 8, 16], expected 2 numbers, finest first"),
    ],
)
def test_maps_that_the_head_cannot_fuse(channels: list[int], strides: Any, message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        SegFormerHead(channels, 2, strides=strides)


def test_the_head_takes_the_maps_from_a_stride_on() -> None:
    network = SegmentationNetwork(CASES["resnet34"], 2, "bilinear", embed_dim=4, finest_stride=2)
    assert network.head.strides == [2, 4, 8, 16]
    assert network(torch.randn(2, 3, 32, 32)).shape == (2, 2, 16, 16)


def test_networks_tell_how_their_input_is_normalised() -> None:
    made = Pyramid([2, 4], in_channels=3)
    made.mean = (0.1, 0.2, 0.3)
    for network in (MattingNetwork(made, width=2), SegmentationNetwork(made, 2, embed_dim=2, finest_stride=1)):
        assert network.mean == (0.1, 0.2, 0.3)
        assert network.std == made.std


def test_operators_pool_only_where_the_encoder_leaves_it_to_them(monkeypatch: pytest.MonkeyPatch) -> None:
    pooled = []
    kind = type(create_upsampler("indexnet", de_channels=4))
    downsample = kind.downsample
    monkeypatch.setattr(kind, "downsample", lambda self, en: (pooled.append(en), downsample(self, en))[1])
    MattingNetwork(CASES["resnet34"], "indexnet").eval()(torch.randn(1, 4, 32, 32))
    assert len(pooled) == 4
    MattingNetwork(CASES["convnext"], "indexnet", width=4).eval()(torch.randn(1, 4, 32, 32))
    assert len(pooled) == 4
