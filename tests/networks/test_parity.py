"""The networks equal the authors' in float64 but for rounding: outputs, taps, gradients, running statistics, in both
modes. How much rounding may be is measured: see `rounding`."""

import pytest
import torch
from golden import manifest, recipe_state_dict, recipe_value
from network_cases import BACKBONE, HEADS, MATTING, WHOLE, network_case
from rounding import agree
from torch import nn

from denseup.checkpoints import load_official
from denseup.networks import MattingResNet34

UNUSED = ["conv_seg.weight", "conv_seg.bias"]


def count(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


def test_recipe_gives_the_values_of_its_check_file() -> None:
    expected = manifest("recipe_check")
    key = "value(matting_fade, layer0.0.weight, (64,4,7,7), gain2=0.6).ravel()[:4]"
    actual = recipe_value("matting_fade", "layer0.0.weight", (64, 4, 7, 7), 0.6).ravel()[:4]
    assert actual.tolist() == pytest.approx(expected[key], rel=1e-7)


@pytest.mark.parametrize("mode", ["eval", "train"])
@pytest.mark.parametrize("name", MATTING)
def test_matting_network(name: str, mode: str) -> None:
    case = network_case(name)
    case.set_mode(mode)
    assert count(case.module) == manifest("matting")[name]["n_params"]
    assert set(case.case["taps"]) <= set(case.taps)
    agree(case.quotients())


@pytest.mark.parametrize("mode", ["eval", "train"])
@pytest.mark.parametrize("name", HEADS)
def test_segformer_head(name: str, mode: str) -> None:
    case = network_case(name)
    case.set_mode(mode)
    unused = 150 * 128 + 150
    assert count(case.module) == manifest("segformer")[name]["n_params"] - unused
    agree(case.quotients())


def test_mix_transformer() -> None:
    case = network_case(BACKBONE)
    assert count(case.module) == 13_151_424
    agree(case.quotients())


def test_whole_segformer() -> None:
    case = network_case(WHOLE)
    assert count(case.module) == 13_715_798
    agree(case.quotients())
    report = load_official(case.module, recipe_state_dict(case.case))
    assert report.unexpected == [f"decode_head.{key}" for key in UNUSED]


def test_matting_parameter_count() -> None:
    assert count(MattingResNet34("bilinear")) == 8_049_003


def test_every_case_of_the_vectors_is_tested() -> None:
    assert set(MATTING) == set(manifest("matting"))
    assert set(HEADS) | {BACKBONE, WHOLE} == set(manifest("segformer"))


@pytest.mark.parametrize(("branch", "dilation"), [(1, 6), (2, 12), (3, 18)])
def test_the_pyramid_reads_at_the_published_dilations(branch: int, dilation: int) -> None:
    """The vectors' deepest map is 6 pixels wide: only the middle of these windows lies on it."""
    convolution = MattingResNet34("bilinear", width=8).aspp.branches[branch][0]
    x = torch.zeros(1, convolution.in_channels, 41, 41, requires_grad=True)
    convolution(x)[0, 0, 20, 20].backward()
    read = {(row - 20, column - 20) for row, column in x.grad[0, 0].nonzero().tolist()}
    steps = (-dilation, 0, dilation)
    assert read == {(row, column) for row in steps for column in steps}
