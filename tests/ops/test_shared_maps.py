"""`SharedMap` against calling the convolution and reading the map again, which autograd adds up by itself."""

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from denseup import create_upsampler
from denseup.ops.pointwise import SharedMap, convolve

LAYOUTS = {"contiguous": torch.contiguous_format, "channels_last": torch.channels_last}


class Reader(torch.autograd.Function):
    """The other use of the map: x → 3·x, whose gradient is a tensor that the test keeps."""

    kept: list[Tensor] = []

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return 3 * x

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:  # type: ignore[override]
        made = 3 * grad
        if not torch.is_grad_enabled():
            Reader.kept.append(made)
        return made


def branched(x: Tensor, convolution: nn.Module) -> tuple[Tensor, Tensor]:
    shared = SharedMap(x)
    return convolve(convolution, shared).square(), Reader.apply(shared.last())


def plain(x: Tensor, convolution: nn.Module) -> tuple[Tensor, Tensor]:
    return convolution(x).square(), 3 * x


def gradients(call: Any, x: Tensor, convolution: nn.Module) -> list[Tensor]:
    x = x.detach().requires_grad_()
    first, second = call(x, convolution)
    loss = first.sum() + (second * second.detach()).sum()
    return list(torch.autograd.grad(loss, [x, *convolution.parameters()]))


def check_shared_gradients(convolution: nn.Module, x: Tensor, tolerance: float) -> Tensor:
    """Gradients are those of two uses, and that of the map, which is given back, lies where the other use's was."""
    Reader.kept.clear()
    ours = gradients(branched, x, convolution)
    for mine, theirs in zip(ours, gradients(plain, x, convolution), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=tolerance, atol=tolerance)
    (kept,) = Reader.kept
    assert ours[0].data_ptr() == kept.data_ptr(), "the gradient of the map took memory of its own"
    return ours[0]


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
def test_gradients_are_those_of_two_uses(layout: torch.memory_format, bias: bool) -> None:
    torch.manual_seed(0)
    x = torch.randn(2, 6, 5, 7, dtype=torch.float64).to(memory_format=layout)
    grad = check_shared_gradients(nn.Conv2d(6, 4, 1, bias=bias).double(), x, 1e-12)
    assert grad.is_contiguous(memory_format=layout)


def test_gradients_by_the_c_kernels() -> None:
    """Float32 in channels-last, of channels that fill vectors."""
    torch.manual_seed(0)
    x = torch.randn(2, 32, 9, 7).contiguous(memory_format=torch.channels_last)
    check_shared_gradients(nn.Conv2d(32, 20, 1), x, 1e-4)


def test_a_traced_graph_for_inference_holds_no_python() -> None:
    fade = create_upsampler("fade", de_channels=32)
    maps = [torch.randn(1, 32, n, n).contiguous(memory_format=torch.channels_last) for n in (4, 8)]
    with torch.no_grad():
        traced = torch.jit.trace(fade, maps, check_trace=False)
        torch.testing.assert_close(traced(*maps), fade(*maps))
    assert "^" not in str(traced.inlined_graph)  # the mark of a Python function


def test_a_frozen_map_takes_no_gradient() -> None:
    convolution, x = nn.Conv2d(3, 2, 1), torch.randn(1, 3, 4, 4)
    shared = SharedMap(x)
    embedded = convolve(convolution, shared)
    assert shared.last() is x
    (of_weight,) = torch.autograd.grad(embedded.sum(), [convolution.weight])
    torch.testing.assert_close(of_weight, x.sum((0, 2, 3)).expand(2, 3)[..., None, None])


def test_a_gradient_in_no_dense_layout_is_added_to_as_well() -> None:
    torch.manual_seed(0)
    convolution = nn.Conv2d(6, 4, 1).double()
    x = torch.randn(2, 6, 5, 14, dtype=torch.float64)[..., ::2]
    strided = [t.clone() for t in gradients(branched, x, convolution)]
    for mine, theirs in zip(strided, gradients(plain, x, convolution), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-12, atol=1e-12)


def test_one_use_only() -> None:
    """Whichever of the two results has no gradient, the other's arrives; what takes none gets none."""
    torch.manual_seed(0)
    convolution = nn.Conv2d(3, 2, 1)
    x = torch.randn(1, 3, 4, 4, requires_grad=True)
    shared = SharedMap(x)
    convolve(convolution, shared)
    (only_read,) = torch.autograd.grad(shared.last().sum(), x)
    assert torch.equal(only_read, torch.ones_like(x))
    (only_embedded,) = torch.autograd.grad(convolve(convolution, SharedMap(x)).sum(), x)
    torch.testing.assert_close(only_embedded, convolution.weight.sum(0)[None].expand_as(x))
    convolution.requires_grad_(False)
    convolve(convolution, SharedMap(x)).sum().backward()
    assert convolution.weight.grad is None
    assert convolution.bias is not None
    assert convolution.bias.grad is None


def test_second_order() -> None:
    torch.manual_seed(0)
    convolution = nn.Conv2d(3, 2, 1).double()

    def call(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        mine = copy.deepcopy(convolution)
        del mine.weight, mine.bias
        mine.weight, mine.bias = weight, bias  # type: ignore[assignment]
        shared = SharedMap(x)
        return convolve(mine, shared).square().sum() * shared.last().square().sum()

    inputs = [torch.randn(1, 3, 2, 3, dtype=torch.float64), convolution.weight, convolution.bias]
    leaves = [x.detach().clone().requires_grad_() for x in inputs if x is not None]
    assert torch.autograd.gradgradcheck(call, leaves)


@pytest.mark.parametrize(
    "convolution",
    [nn.Conv2d(4, 2, 3, padding=1), nn.Conv2d(4, 2, 1, groups=2), nn.Conv2d(4, 2, 1, stride=2), nn.Sequential()],
    ids=["3×3", "groups", "stride", "another module"],
)
def test_anything_else_is_called(convolution: nn.Module) -> None:
    x = torch.randn(1, 4, 6, 6, requires_grad=True)
    shared = SharedMap(x)
    embedded = convolve(convolution, shared)
    assert shared.last() is x
    assert torch.equal(embedded, convolution(x))


def test_hooks_are_called() -> None:
    convolution, seen = nn.Conv2d(4, 2, 1), []
    convolution.register_forward_hook(lambda _module, _inputs, output: seen.append(output))
    embedded = convolve(convolution, SharedMap(torch.randn(1, 4, 3, 3, requires_grad=True)))
    assert seen[0] is embedded


@pytest.mark.parametrize("name", ["fade", "fade_lite"])
@pytest.mark.parametrize("en_channels", [8, 5])
def test_fade_under_autocast_and_vmap_is_fade(name: str, en_channels: int) -> None:
    """Where the shortcut is not taken, results are the same."""
    torch.manual_seed(0)
    upsampler = create_upsampler(name, de_channels=8, en_channels=en_channels)
    de, en = torch.randn(2, 8, 3, 4), torch.randn(2, en_channels, 6, 8)

    def gradients_by(call: Callable[[Tensor, Tensor], Tensor]) -> tuple[Tensor, ...]:
        leaves = [x.clone().requires_grad_() for x in (de, en)]
        return torch.autograd.grad(call(*leaves).square().sum(), [*leaves, *upsampler.parameters()])

    expected = gradients_by(upsampler)
    each = torch.vmap(lambda de, en: upsampler(de[None], en[None])[0])
    for ours, theirs in zip(gradients_by(each), expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        rough = gradients_by(upsampler)
    for ours, theirs in zip(rough, expected, strict=True):
        assert (ours - theirs).abs().max() < 0.05 * theirs.abs().max()
