"""The bounds of the parity tests are tight: what a mistake changes exceeds them a thousand times and more."""

from collections.abc import Callable
from functools import lru_cache

import pytest
import torch
from network_cases import BACKBONE, network_case
from rounding import Values, exact, spread
from torch import Tensor, nn
from torch.nn import functional as F

from denseup.upsamplers import bilinear

Plant = Callable[[nn.Module, pytest.MonkeyPatch], None]
MATTING = "resnet34_fade_repo_bilinear"


def setting(kind: type[nn.Module], name: str, value: object, part: str = "") -> Plant:
    """Give one attribute of the modules of a kind, below `part`, another value."""

    def plant(module: nn.Module, patch: pytest.MonkeyPatch) -> None:
        found = [m for m in module.get_submodule(part).modules() if isinstance(m, kind)]
        assert found
        for m in found:
            patch.setattr(m, name, value)

    return plant


def leaving_out(parent: str, name: str) -> Plant:
    return lambda module, patch: patch.setitem(module.get_submodule(parent)._modules, name, nn.Identity())


def aligned_corners(module: nn.Module, patch: pytest.MonkeyPatch) -> None:
    def upsample(self, de, en, size, state):
        return F.interpolate(de, size=size, mode="bilinear", align_corners=True)

    patch.setattr(bilinear.Bilinear, "upsample", upsample)


def padded_one_off(module: nn.Module, patch: pytest.MonkeyPatch) -> None:
    """The map is read one pixel further to the right."""
    convolution = module.get_submodule("encoder.layer2.1.conv1")
    moved = convolution.forward
    patch.setattr(convolution, "forward", lambda x: moved(F.pad(x, (-1, 1, 0, 0))))


def dilated(module: nn.Module, patch: pytest.MonkeyPatch) -> None:
    """By 5 instead of 6; the vectors' deepest map is 6 pixels wide, so that 6, 12 and 18 are all the same to it."""
    for name in ("dilation", "padding"):
        patch.setattr(module.get_submodule("aspp.branches.1.0"), name, (5, 5))


def doubled_gradient(module: nn.Module, patch: pytest.MonkeyPatch) -> None:
    fuse = module.fuse[0]
    convolve = fuse.forward
    patch.setattr(fuse, "forward", lambda x: convolve(2 * x - x.detach()))


FORWARD = {
    "batch norm: epsilon": (MATTING, setting(nn.BatchNorm2d, "eps", 2e-5, "encoder.layer2.1")),
    "activation: slope": (MATTING, setting(nn.LeakyReLU, "negative_slope", 0.02, "decoder.3.shortcut")),
    "activation left out": (MATTING, leaving_out("aspp.project", "2")),
    "corners aligned": (MATTING, aligned_corners),
    "padding off by one": (MATTING, padded_one_off),
    "dilation": (MATTING, dilated),
    "layer norm: epsilon": (BACKBONE, setting(nn.LayerNorm, "eps", 1e-5)),
}
BACKWARD = {
    "batch norm: momentum": ("train", setting(nn.BatchNorm2d, "momentum", 0.11)),
    "batch norm: epsilon": ("train", setting(nn.BatchNorm2d, "eps", 1e-6)),
    "running statistics in training": ("train", setting(nn.BatchNorm2d, "training", False)),
    "statistics of the batch in evaluation": ("eval", setting(nn.BatchNorm2d, "training", True)),
    "corners aligned": ("eval", aligned_corners),
    "activation left out": ("eval", leaving_out("fuse", "2")),
    "gradient counted twice": ("eval", doubled_gradient),
}


@lru_cache(maxsize=1)
def moves(name: str) -> Values:
    """How far rounding moves the right network's outputs and taps."""
    case = network_case(name)
    return spread(case.forward, case.forward(exact))


@pytest.mark.parametrize("mistake", FORWARD)
def test_a_mistake_shows_in_outputs_and_taps(mistake: str, monkeypatch: pytest.MonkeyPatch) -> None:
    name, plant = FORWARD[mistake]
    case, moved = network_case(name), moves(name)
    plant(case.module, monkeypatch)
    assert max(case.quotients(case.forward(exact), moved).values()) >= 1e3


@pytest.mark.parametrize("mistake", BACKWARD)
def test_a_mistake_shows_in_some_number_of_the_head(mistake: str, monkeypatch: pytest.MonkeyPatch) -> None:
    mode, plant = BACKWARD[mistake]
    case = network_case("head_bilinear")
    case.set_mode(mode)
    moved = spread(case, case(exact))
    plant(case.module, monkeypatch)
    assert max(case.quotients(case(exact), moved).values()) >= 1e3


def reversed_sums(patch: pytest.MonkeyPatch) -> None:
    """Every convolution over all channels adds them up the other way round."""
    convolve = nn.Conv2d._conv_forward

    def wrong_way_round(self: nn.Conv2d, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        if self.groups > 1:
            return convolve(self, x, weight, bias)
        return convolve(self, x.flip(1), weight.flip(1), bias)

    patch.setattr(nn.Conv2d, "_conv_forward", wrong_way_round)


@pytest.mark.parametrize("name", ["head_bilinear", "head_carafe", "head_fade"])
def test_another_order_of_sums_is_no_mistake(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    case = network_case(name)
    case.set_mode("train")
    values = case(exact)
    moved = spread(case, values)
    reversed_sums(monkeypatch)
    again = case(exact)
    assert any(not torch.equal(again[key], value) for key, value in values.items())
    found = case.quotients(again, moved)
    assert max(found.values()) <= 0.5, max(found, key=found.get)
