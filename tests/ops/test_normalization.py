"""Group norm: the definition, whoever asks for which gradient of which layout, and of no images."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from denseup.ops.normalization import GroupNorm
from denseup.upsamplers import SAPAD, FreqFusion, Upsampler

GROUPS, CHANNELS, SIZE = 2, 6, (3, 5)
PRECISION = {torch.float64: 1e-12, torch.float32: 1e-5, torch.bfloat16: 0.03}
LAYOUTS = (torch.contiguous_format, torch.channels_last)


def by_definition(x: Tensor, norm: GroupNorm) -> Tensor:
    apart = x.double().unflatten(1, (GROUPS, -1))
    deviation = (apart.var((2, 3, 4), correction=0, keepdim=True) + norm.eps).sqrt()
    normed = ((apart - apart.mean((2, 3, 4), keepdim=True)) / deviation).flatten(1, 2)
    return normed * norm.weight.double()[:, None, None] + norm.bias.double()[:, None, None]


def prepared(dtype: torch.dtype, layout: torch.memory_format, batch: int = 2) -> tuple[GroupNorm, Tensor]:
    torch.manual_seed(0)
    norm = GroupNorm(GROUPS, CHANNELS)
    for parameter in norm.parameters():
        torch.nn.init.normal_(parameter)
    return norm.to(dtype), torch.randn(batch, CHANNELS, *SIZE).to(dtype).to(memory_format=layout)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", PRECISION)
@pytest.mark.parametrize("asked", ["x", "weight", "bias", "weight bias", "x weight bias"])
def test_each_gradient_by_itself(asked: str, dtype: torch.dtype, layout: torch.memory_format) -> None:
    """torch's own ends the process for a channels-last map whose gradient is not asked for (torch 2.13, CPU)."""
    norm, x = prepared(dtype, layout)
    for of_map in {True, "x" in asked.split()}:  # what is asked for has a gradient, the map may have one besides
        x.requires_grad_(of_map)
        sources = [x if name == "x" else norm.get_parameter(name) for name in asked.split()]
        out, expected = norm(x), by_definition(x, norm)
        assert out.dtype == dtype
        assert out.is_contiguous(memory_format=layout)
        grad = torch.randn(expected.shape).to(dtype)
        found = torch.autograd.grad(out, sources, grad)
        right = torch.autograd.grad(expected, sources, grad.double())
        for one, other in zip([out, *found], [expected, *right], strict=True):
            torch.testing.assert_close(one.double(), other.double(), rtol=PRECISION[dtype], atol=PRECISION[dtype] * 4)


PLACED: dict[str, Callable[[], Tensor]] = {
    "one pixel, strides of channels-last": lambda: torch.randn(2, 1, 1, 6).permute(0, 3, 1, 2),
    "one pixel": lambda: torch.randn(2, 6, 1, 1),
    "channels cut out of channels-last": lambda: torch.randn(2, 4, 5, 12).permute(0, 3, 1, 2)[:, :6],
    "columns cut out of channels-last": lambda: torch.randn(2, 4, 10, 6).permute(0, 3, 1, 2)[..., ::2],
    "one image many times": lambda: torch.randn(1, 4, 5, 6).permute(0, 3, 1, 2).expand(3, -1, -1, -1),
    "rows as columns": lambda: torch.randn(2, 6, 5, 4).transpose(2, 3),
    "one column": lambda: torch.randn(2, 5, 1, 6).permute(0, 3, 1, 2),
}


@pytest.mark.parametrize("placed", PLACED.values(), ids=PLACED)
@pytest.mark.parametrize("of_map", [False, True])
def test_wherever_the_map_lies(placed: Callable[[], Tensor], of_map: bool) -> None:
    """torch asks the strides, not whether the map is contiguous."""
    norm, _ = prepared(torch.float32, torch.channels_last)
    x = placed().requires_grad_(of_map)
    found = torch.autograd.grad(norm(x).square().sum(), list(norm.parameters()))
    expected = torch.autograd.grad(by_definition(x, norm).square().sum(), list(norm.parameters()))
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("backend", ["eager", "aot_eager"])
def test_compiled_beside_features_without_gradient(backend: str) -> None:
    norm, x = prepared(torch.float32, torch.channels_last)
    expected = torch.autograd.grad(norm(x).square().sum(), list(norm.parameters()))
    compiled = torch.compile(norm, backend=backend, fullgraph=True)
    found = torch.autograd.grad(compiled(x).square().sum(), list(norm.parameters()))
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("frozen", ["", "x", "weight", "bias"])
def test_second_derivatives(frozen: str, layout: torch.memory_format) -> None:
    norm, x = prepared(torch.float64, layout)
    sources = {"x": x.requires_grad_(), "weight": norm.weight, "bias": norm.bias}
    if frozen:
        sources.pop(frozen).requires_grad_(False)
    assert torch.autograd.gradgradcheck(lambda *_: norm(x), tuple(sources.values()))


def test_no_images() -> None:
    norm, _ = prepared(torch.float32, torch.channels_last)
    norm(torch.empty(0, *SIZE, CHANNELS).permute(0, 3, 1, 2)).sum().backward()
    assert norm.weight.grad.abs().max() == 0


@pytest.mark.parametrize("layout", LAYOUTS)
def test_no_images_under_transforms(layout: torch.memory_format) -> None:
    norm, x = prepared(torch.float64, layout, batch=0)
    assert torch.func.grad(lambda x: norm(x).sum())(x).shape == x.shape
    assert torch.func.vmap(norm)(x[None].expand(2, -1, -1, -1, -1)).shape == (2, *x.shape)


OPERATORS: dict[str, Callable[[], Upsampler]] = {
    "sapa_d": lambda: SAPAD(32, norm=True, points=2, embed_channels=4),
    "freqfusion": lambda: FreqFusion(8, embed_channels=16, resample=True),
}


@pytest.mark.parametrize("build", OPERATORS.values(), ids=OPERATORS)
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_operators_learn_beside_a_frozen_encoder(
    build: Callable[[], Upsampler], layout: torch.memory_format, dtype: torch.dtype
) -> None:
    """NCHW maps too: they are turned where kernels serve channels-last ones."""
    torch.manual_seed(0)
    module = build().to(dtype)
    maps = [torch.randn(2, module.de_channels, *size, dtype=dtype) for size in ((4, 5), (8, 10))]
    maps = [x.to(memory_format=layout) for x in maps]
    norms = [parameter for name, parameter in module.named_parameters() if "norm" in name]
    found = torch.autograd.grad(module(*maps).square().sum(), norms)
    for x in maps:
        x.requires_grad_()
    expected = torch.autograd.grad(module(*maps).square().sum(), [*maps, *norms])[len(maps) :]
    torch.testing.assert_close(found, expected)
