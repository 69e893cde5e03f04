"""What each form of operator starts as when its start is neutral.

Kernels are off by what little of them depends on content: logits within ±d make each weight wrong by a factor within
exp(±2d). Borders are left out, where an operator meets zeros beyond the map and bilinear interpolation a copy of its
end.
"""

import math
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F
from upsamplers.starting import CHANNELS, INNER, maps

from denseup.ops import reassemble
from denseup.ops.nearest import resize_nearest
from denseup.upsamplers import (
    A2U,
    CARAFE,
    FADE,
    SAPA,
    Bilinear,
    Deconv,
    DySample,
    FADELite,
    FreqFusion,
    IndexNet,
    PixelShuffle,
    SemiShift,
)
from denseup.upsamplers.start import (
    CLOSED_GATE,
    CONTENT_STD,
    UNIFORM_SHARE,
    bilinear_kernels,
    neutral_kernel_of_raised,
    neutral_kernels,
)

BLURRED = (1 / 8, 3 / 4, 1 / 8)
"""The mean of (1/4, 3/4, 0) and (0, 3/4, 1/4), bilinear interpolation at ×2."""


@pytest.mark.parametrize("factor", [1, 2, 3, 4])
@pytest.mark.parametrize("kernel_size", [3, 5])
def test_kernels_of_bilinear_interpolation(kernel_size: int, factor: int) -> None:
    de = maps((1, 1), channels=2)[0].double()
    kernels = bilinear_kernels(kernel_size, factor).double().flatten(1).T.reshape(1, -1, factor, factor)
    out = reassemble(de, kernels.repeat(1, 1, 17, 19), kernel_size)
    expected = F.interpolate(de, scale_factor=factor, mode="bilinear", align_corners=False)
    inner = (..., slice(factor, -factor), slice(factor, -factor))
    torch.testing.assert_close(out[inner], expected[inner], rtol=1e-5, atol=1e-5)
    assert torch.equal(bilinear_kernels(1, factor), torch.ones(factor**2, 1, 1))


def test_neutral_kernels_have_no_zeros_and_one_mean() -> None:
    for kernel_size in (1, 3, 5, 7):
        kernels = neutral_kernels(kernel_size, 2)
        torch.testing.assert_close(kernels.sum(1), torch.ones(4))
        assert kernels.min() >= UNIFORM_SHARE / kernel_size**2 - 1e-9
    blurred = torch.tensor(BLURRED).outer(torch.tensor(BLURRED)).flatten()
    mean = (neutral_kernels(3, 2).mean(0) - UNIFORM_SHARE / 9) / (1 - UNIFORM_SHARE)
    torch.testing.assert_close(mean, blurred)


@pytest.mark.parametrize("factor", [1, 2, 3, 4])
def test_the_kernel_behind_nearest_neighbours_is_bilinear_interpolation(factor: int) -> None:
    de = maps((1, 1), channels=2)[0].double()
    size = (17 * factor, 19 * factor)
    kernel = (neutral_kernel_of_raised(5, factor).double() - UNIFORM_SHARE / 25) / (1 - UNIFORM_SHARE)
    out = reassemble(resize_nearest(de, size), kernel.reshape(1, 25, 1, 1).expand(1, 25, *size), 5)
    expected = F.interpolate(de, size, mode="bilinear", align_corners=False)
    inner = (..., slice(factor, -factor), slice(factor, -factor))
    torch.testing.assert_close(out[inner], expected[inner], rtol=1e-5, atol=1e-5)


@torch.no_grad()
@pytest.mark.parametrize("options", [{}, {"hamming": False}, {"refine": False}, {"semi_conv": False}])
def test_freqfusion(options: dict[str, Any]) -> None:
    """Where it filters what nearest neighbour raised, bilinear interpolation; else its mean: there is one kernel."""
    module = FreqFusion(CHANNELS, start="neutral", **options)
    for conv in (module.encode, module.encode_high):
        assert 0 < conv.weight.abs().max() < 0.01
        conv.weight.zero_()
    weights = neutral_kernels(5, 2).mean(0) if module.semi_conv else neutral_kernel_of_raised(5, 2)
    kernels = weights.reshape(1, 25, 1, 1).expand(1, 25, 34, 38)
    de, en = maps((34, 38))
    torch.testing.assert_close(module.kernels(de, en)[INNER], kernels[INNER], rtol=1e-4, atol=0)
    raised = de if module.semi_conv else resize_nearest(de, (34, 38))
    torch.testing.assert_close(module(de, en)[INNER], reassemble(raised, kernels, 5)[INNER], rtol=1e-4, atol=1e-4)


def box(de: Tensor, kernel_size: int, size: tuple[int, int]) -> Tensor:
    """The mean over the window around the nearest source pixel, with zeros beyond the map."""
    mean = F.avg_pool2d(de, kernel_size, 1, kernel_size // 2, count_include_pad=True)
    return resize_nearest(mean, size)


def check_kernels(out: Tensor, expected: Tensor, magnitude: Tensor, logits: Tensor) -> None:
    """`magnitude`: the same interpolation of |de|; `logits`: `[B, K², H, W]`, without their constant part."""
    assert 0 < logits.abs().max() < 0.2
    bound = math.expm1(2 * float(logits.abs().max())) * magnitude + 1e-5
    assert ((out - expected).abs() <= bound)[INNER].all()


@torch.no_grad()
@pytest.mark.parametrize("options", [{}, {"groups": 2, "kernel_size": 3}])
def test_carafe(options: dict[str, int]) -> None:
    """(1 - u)·bilinear + u·mean: at a distance of u times theirs."""
    module = CARAFE(CHANNELS, start="neutral", **options)
    de, _ = maps((34, 38))

    def mixed(x: Tensor) -> Tensor:
        bilinear = F.interpolate(x, (34, 38), mode="bilinear", align_corners=False)
        return (1 - UNIFORM_SHARE) * bilinear + UNIFORM_SHARE * box(x, module.kernel_size, (34, 38))

    content = F.conv2d(module.compress(de), module.encode.weight, padding=1)
    check_kernels(module(de), mixed(de), mixed(de.abs()), content)


@torch.no_grad()
@pytest.mark.parametrize("kind", [SemiShift, FADE, FADELite])
def test_semi_shift_kernels(kind: type[SemiShift | FADE]) -> None:
    module = kind(CHANNELS, start="neutral")
    de, en = maps((33, 37))
    gate = torch.sigmoid(module.gate(de)) if isinstance(module, FADE) else torch.zeros(1)
    assert gate.max() <= 0.02
    weights = neutral_kernels(5, 2).mean(0).reshape(1, 25, 1, 1)
    bias = module.kernels.encode.bias
    torch.testing.assert_close((2 * bias).softmax(0), weights.flatten())

    def blurred(x: Tensor) -> Tensor:
        return reassemble(x, weights.expand(1, 25, 33, 37), 5)

    opened = resize_nearest(gate.expand(1, 1, 17, 19), (33, 37))
    expected = opened * en + (1 - opened) * blurred(de)
    check_kernels(module(de, en), expected, blurred(de.abs()), module.kernels(de, en) - 2 * bias.reshape(1, 25, 1, 1))


@torch.no_grad()
@pytest.mark.parametrize("query", ["en", "cat", "gate"])
def test_sapa(query: Any) -> None:
    """The mean over the window: similarity knows no positions."""
    module = SAPA(CHANNELS, query=query, start="neutral")
    de, en = maps((33, 37))
    logits: list[Tensor] = []
    module.embed_key.register_forward_hook(lambda *args: logits.append(args[2]))
    out = module(de, en)
    normed_en, normed_de = module.norm_en(en.movedim(1, -1)), module.norm_de(de.movedim(1, -1))
    asking = module.query(normed_en, de.movedim(1, -1), normed_de)
    largest = asking.norm(dim=1).max() * logits[0].norm(dim=-1).max()  # Cauchy and Schwarz
    check_kernels(out, box(de, 5, (33, 37)), box(de.abs(), 5, (33, 37)), largest)


@torch.no_grad()
def test_a2u() -> None:
    """The mean over the window, in the pooling too: its logits are one affinity times one vector, whatever its sign."""
    module = A2U(CHANNELS, start="neutral")
    de, en = maps((34, 38))
    affinity = module.affinity(en)
    check_kernels(
        module(de, en), box(de, 3, (34, 38)), box(de.abs(), 3, (34, 38)), module.up_logits(en, affinity) - 0.5
    )
    pooled, _ = module.downsample(en)
    mean = F.avg_pool2d(F.pad(en, (2, 2, 2, 2)), 6, 2)
    assert module.down_logits(en, affinity).abs().max() < 0.05
    torch.testing.assert_close(pooled[INNER], mean[INNER], rtol=0, atol=0.05)


@torch.no_grad()
@pytest.mark.parametrize("options", [{}, {"kind": "m2o"}, {"kind": "o2o"}, {"nonlinear": False, "context": False}])
def test_indexnet(options: dict[str, Any]) -> None:
    """Half of nearest-neighbour interpolation, sigmoid(1/2) of it as a plug-in, and the mean of each block."""
    module = IndexNet(CHANNELS, start="neutral", **options)
    de, en = maps((34, 38))
    pooled, state = module.downsample(en)
    nearest = resize_nearest(de, (34, 38))
    torch.testing.assert_close(module(de, en, state=state), nearest / 2, rtol=0.03, atol=0)
    torch.testing.assert_close(module(de, en), nearest * torch.sigmoid(torch.tensor(0.5)), rtol=0.03, atol=0)
    torch.testing.assert_close(pooled, F.avg_pool2d(en, 2), rtol=0, atol=0.02)


@torch.no_grad()
@pytest.mark.parametrize("factor", [2, 3, 4])
@pytest.mark.parametrize("options", [{"style": "lp"}, {"style": "pl"}, {"style": "lp", "dynamic_scope": True}])
def test_dysample(options: dict[str, Any], factor: int) -> None:
    """Off by its offsets times the steepest slope; of thousands of normal numbers none is beyond five deviations."""
    module = DySample(144, scale_factor=factor, start="neutral", **options)
    de, _ = maps((1, 1), channels=144)
    offset = module.offsets(de).abs().max()
    assert 0 < offset <= 5 * 0.25 * CONTENT_STD * math.sqrt(144)  # of a pixel
    slope = max(float(de.diff(dim=d).abs().max()) for d in (2, 3))
    expected = F.interpolate(de, scale_factor=factor, mode="bilinear", align_corners=False)
    assert (module(de) - expected).abs().max() <= 2 * offset * slope + 1e-5  # a step in either direction


@torch.no_grad()
@pytest.mark.parametrize("factor", [2, 3, 4])
@pytest.mark.parametrize("kind", [Deconv, PixelShuffle])
def test_linear_maps_are_bilinear_interpolation(kind: type[Deconv | PixelShuffle], factor: int) -> None:
    module, (de, _) = kind(CHANNELS, scale_factor=factor, start="neutral"), maps((1, 1))
    expected = Bilinear(CHANNELS, scale_factor=factor)(de)
    inner = (..., slice(factor, -factor), slice(factor, -factor))
    torch.testing.assert_close(module(de)[inner], expected[inner])


@torch.no_grad()
@pytest.mark.parametrize("kernel_size", [2, 3, 4, 5, 6, 7])
def test_a_transposed_convolution_of_any_size_keeps_a_constant(kernel_size: int) -> None:
    out = Deconv(2, kernel_size=kernel_size, start="neutral")(torch.ones(1, 2, 17, 19))[INNER]
    torch.testing.assert_close(out, torch.ones_like(out))


@torch.no_grad()
def test_a_shuffle_of_single_pixels_is_nearest_neighbour_interpolation() -> None:
    module, (de, _) = PixelShuffle(CHANNELS, encoder_kernel_size=1, start="neutral"), maps((1, 1))
    torch.testing.assert_close(module(de), resize_nearest(de, (34, 38)))


def test_a_closed_gate_can_open() -> None:
    """Its slope is a fourteenth of that of a half-open one."""
    gate = torch.tensor(CLOSED_GATE, requires_grad=True)
    torch.sigmoid(gate).backward()
    assert torch.sigmoid(gate) <= 0.02
    assert gate.grad is not None
    assert gate.grad >= 0.25 / 15
