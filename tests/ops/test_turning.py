"""Maps turned from one layout to the other by C: the same values, and gradients in the layout that maps came in."""

from typing import Any

import pytest
import torch
from torch import Tensor

from denseup import create_upsampler
from denseup.ops import c_kernels, turning, use_backend

LAYOUTS = [torch.contiguous_format, torch.channels_last]
SHAPES = [  # batch, channels, height, width
    (1, 64, 16, 32),
    (2, 17, 33, 35),
    (1, 25, 40, 41),
    (3, 16, 4, 4),
    (2, 15, 9, 40),
    (1, 40, 3, 5),
    (1, 1, 7, 9),
    (2, 3, 1, 1),
    (0, 4, 5, 6),
    (1, 80, 128, 129),  # more than one thread's part, and past the caches
]


def laid_out(x: Tensor, layout: torch.memory_format) -> bool:
    return x.is_contiguous(memory_format=layout)


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_same_values_in_the_other_layout(
    instructions: str, shape: tuple[int, ...], threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(c_kernels.native, "threads", lambda: threads)
    x = torch.randn(shape)
    x.flatten()[::7] = torch.nan
    for to in LAYOUTS:
        for start in LAYOUTS:
            found = c_kernels.in_layout(x.contiguous(memory_format=start), to)
            assert laid_out(found, to)
            torch.testing.assert_close(found, x, rtol=0, atol=0, equal_nan=True)


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_other_dtypes_and_strides(dtype: torch.dtype) -> None:
    x = torch.randn(2, 20, 18, 24).to(dtype)
    for to in LAYOUTS:
        assert torch.equal(c_kernels.in_layout(x, to), x)
        for part in (x[:, ::2], x[..., ::2], x.mT, x[:, :1].expand(-1, 20, -1, -1), x.float()[:, :, 1:]):
            found = c_kernels.in_layout(part, to)
            assert laid_out(found, to)
            assert torch.equal(found, part)


@pytest.mark.parametrize("start", LAYOUTS, ids=str)
@pytest.mark.parametrize("to", LAYOUTS, ids=str)
def test_gradients_of_first_and_second_order(start: torch.memory_format, to: torch.memory_format) -> None:
    x = torch.randn(2, 17, 18, 19).contiguous(memory_format=start).requires_grad_()
    out = turning.turned(x, to)
    assert laid_out(out, to)
    (grad,) = torch.autograd.grad(out.square().sum(), x, create_graph=True)
    assert laid_out(grad, start)
    assert torch.equal(grad, 2 * x)
    (second,) = torch.autograd.grad(grad.pow(3).sum(), x)
    torch.testing.assert_close(second, 24 * x.detach() ** 2)


@pytest.mark.parametrize("layout", LAYOUTS, ids=str)
def test_a_gradient_comes_in_the_layout_of_its_map(layout: torch.memory_format) -> None:
    """Whatever it was a part of; it can be differentiated once more, and nothing else changes."""
    x = torch.randn(2, 17, 18, 19).contiguous(memory_format=layout).requires_grad_()
    kept: list[Tensor] = []
    between = x.clone()
    between.register_hook(kept.append)
    out = turning.gradient_in_layout(between)
    assert torch.equal(out, x)
    for last in LAYOUTS:
        joined = torch.cat([out, torch.randn(2, 3, 18, 19)], 1).contiguous(memory_format=last)
        (grad,) = torch.autograd.grad(joined.square().sum(), x, create_graph=True)
        assert laid_out(kept.pop(), layout)
        assert torch.equal(grad, 2 * x)
        (second,) = torch.autograd.grad(grad.pow(3).sum(), x, retain_graph=True)
        torch.testing.assert_close(second, 24 * x.detach() ** 2)
        kept.clear()
    constant = x.detach()
    assert turning.gradient_in_layout(constant) is constant
    assert torch.equal(torch.func.grad(lambda x: turning.gradient_in_layout(x).square().sum())(constant), 2 * constant)


@pytest.mark.parametrize("name", ["bilinear", "nearest"])
@pytest.mark.parametrize("layout", LAYOUTS, ids=str)
def test_torch_is_handed_gradients_in_the_layout_of_its_maps(
    name: str, layout: torch.memory_format, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Behind a concatenation, whose own gradient is a larger map."""
    handed: list[Tensor] = []
    interpolate = torch.nn.functional.interpolate

    def watched(x: Tensor, *args: Any, **options: Any) -> Tensor:
        out = interpolate(x, *args, **options)
        out.register_hook(handed.append)
        return out

    monkeypatch.setattr(torch.nn.functional, "interpolate", watched)
    de = torch.randn(2, 32, 5, 6).contiguous(memory_format=layout).requires_grad_()
    out = create_upsampler(name, de_channels=32)(de)
    torch.cat([out, out.detach()], 1).contiguous(memory_format=torch.channels_last).square().sum().backward()
    (grad,) = handed
    works_in = torch.channels_last if name == "bilinear" and not turning.MISSING else layout
    assert laid_out(grad, works_in)


@pytest.mark.parametrize(
    "name", ["bilinear", "fade", "fade_lite", "carafe", "semishift", "sapa", "sapa_cat", "sapa_gate"]
)
@pytest.mark.parametrize("of_en", LAYOUTS, ids=str)
@pytest.mark.parametrize("of_de", LAYOUTS, ids=str)
def test_upsamplers_keep_the_layouts(name: str, of_de: torch.memory_format, of_en: torch.memory_format) -> None:
    """Output and gradients lie as the maps do, whatever lies inside, and a map that is returned is the one given."""
    torch.manual_seed(0)
    module = create_upsampler(name, de_channels=32)
    maps = torch.randn(2, 32, 5, 6), torch.randn(2, 32, 10, 12)
    leaves = [x.contiguous(memory_format=to).requires_grad_() for x, to in zip(maps, (of_de, of_en), strict=True)]
    out, en = module(*leaves, return_en=True)
    assert en is leaves[1]
    assert laid_out(out, of_de)
    weight = torch.randn_like(out)
    wanted = leaves if module.guided else leaves[:1]
    found = torch.autograd.grad(out, wanted, weight)
    assert all(laid_out(g, to) for g, to in zip(found, (of_de, of_en), strict=False))
    with use_backend("reference"):
        expected = module(*leaves)
        truths = torch.autograd.grad(expected, wanted, weight)
    for ours, theirs in zip((out, *found), (expected, *truths), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)


def test_where_maps_are_turned() -> None:
    if turning.MISSING:
        pytest.skip(turning.MISSING)
    x = torch.randn(1, 16, 4, 5)
    assert turning.pays(x)
    assert not turning.pays(x.contiguous(memory_format=torch.channels_last))
    assert not turning.pays(x.double())
    assert not turning.pays(x.bfloat16())
    assert not turning.pays(x[:0])
    with use_backend("reference"):
        assert not turning.pays(x)
    with use_backend("cpu"):
        assert turning.pays(x)
    with torch.autocast("cpu"):
        assert not turning.pays(x)
    assert not torch.func.vmap(lambda y: y * turning.pays(y))(x).count_nonzero()
