"""What compilers make of the operators, where sizes are symbols or layouts differ."""

import shutil
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.fx.experimental.symbolic_shapes import DimDynamic, ShapeEnv, StatelessSymbolicContext

from denseup import native
from denseup.ops import reassemble, resize_nearest

LAYOUTS = [torch.contiguous_format, torch.channels_last]
low, high = (2, 4, 7, 9), (2, 4, 13, 17)
kernels = (2, 9, 13, 17)
placed, weighed = (2, 3, 2, 2, 13, 17), (2, 2, 3, 13, 17)
backend = "reference"
# What they are called with: shapes stand for maps.
CALLS: dict[str, tuple[Any, ...]] = {
    "reassemble": (low, kernels, 3, 1, backend),
    "reassemble_adjoint": (high, kernels, 3, 1, *low[2:], backend),
    "local_similarity": (high, low, 3, 1, backend),
    "fused_reassemble": (low, kernels, high, (2, 1, 7, 9), 3, 1, backend),
    "fused_reassemble_backward": (high, low, kernels, high, (2, 1, 7, 9), 3, 1, backend),
    "neighbourhood_attention": (high, low, (2, 6, 7, 9), 3, 2, 0.5, backend),
    "neighbourhood_attention_backward": ((2, 6, 13, 17), high, low, (2, 6, 7, 9), 3, 2, 0.5, backend),
    "encode_content": ((2, 16, 13, 17), (2, 16, 7, 9), (25, 16, 3, 3), None),
    "bidownsample": (high, (2, 4, 6, 8), 2, 2, 1),
    "sample_bilinear": (low, (2, 13, 17, 2)),
    "sample_positions": (low, (2, 4, 13, 17), 2, "border", backend),
    "sample_positions_backward": (high, low, (2, 4, 13, 17), 2, "border", backend),
    "depthwise": (high, (1, 4, 4, 4), 2, 1, backend),
    "depthwise_backward": ((2, 4, 6, 8), high, (1, 4, 4, 4), 2, 1, [True, True], backend),
    "point_similarity": (high, low, placed, backend),
    "point_similarity_backward": (weighed, high, low, placed, backend),
    "gather_points": (low, weighed, placed, backend),
    "gather_points_backward": (high, low, weighed, placed, backend),
    "sum_of_cells": (high, *low[2:]),
}


@pytest.mark.parametrize("layout", LAYOUTS, ids=str)
@pytest.mark.parametrize("name", CALLS)
def test_a_compiler_expects_the_layout_that_results_have(name: str, layout: torch.memory_format) -> None:
    """Where height and width are symbols too: torch may then ask something else than the fake kernel."""
    if name == "encode_content" and native.library() is None:
        pytest.skip(str(native.why_missing()))
    operator = getattr(torch.ops.denseup, name)
    inputs = [laid_out(torch.randn(x), layout) if isinstance(x, tuple) else x for x in CALLS[name]]
    mode = FakeTensorMode(shape_env=ShapeEnv())
    fakes = [mode.from_tensor(x, symbolic_context=symbols(x)) if isinstance(x, Tensor) else x for x in inputs]
    with mode:
        expected = operator(*fakes)
    found = operator(*inputs)
    for fake, real in zip(*((x,) if isinstance(x, Tensor) else x for x in (expected, found)), strict=True):
        assert fake.dtype == real.dtype
        assert fake.is_contiguous() == real.is_contiguous()
        if real.dim() == 4:
            last = torch.channels_last
            assert fake.is_contiguous(memory_format=last) == real.is_contiguous(memory_format=last)
        elif real.numel():
            assert [int(x) for x in fake.stride()] == [*real.stride()]


def laid_out(x: Tensor, layout: torch.memory_format) -> Tensor:
    """In a memory format; of what is no map, the channels last or first."""
    if x.dim() == 4:
        return x.contiguous(memory_format=layout)
    return x.movedim(-1, 1).contiguous().movedim(1, -1) if layout is torch.channels_last else x


def symbols(x: Tensor) -> StatelessSymbolicContext:
    """Height and width."""
    return StatelessSymbolicContext([DimDynamic.STATIC] * (x.dim() - 2) + [DimDynamic.DYNAMIC] * 2)


@pytest.mark.skipif(not any(map(shutil.which, ("c++", "g++", "clang++"))), reason="inductor needs a C++ compiler")
@pytest.mark.parametrize("dynamic", [pytest.param(False, marks=pytest.mark.slow), True])
def test_gradient_of_nearest_between_layouts(dynamic: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Convolutions want channels last, reassembly has its own layout: what lies between changes from one to the other.

    With two threads, for which inductor makes other code than for one, and as on a CI server, where it refuses to call
    operators that have a decomposition.
    """
    monkeypatch.setenv("CI", "true")
    torch.manual_seed(0)
    convolution = nn.Conv2d(8, 25, 3, padding=1)
    shapes = [(2, 8, 7, 9), (2, 8, 7, 9), (2, 8, 13, 17)]
    inputs = [torch.randn(shape, requires_grad=True) for shape in shapes]

    def semi_shift(de: Tensor, low: Tensor, high: Tensor) -> Tensor:
        logits = convolution(high) + resize_nearest(convolution(low), (high.shape[2], high.shape[3]))
        return reassemble(de, logits, 5, normalize="softmax")

    def gradients(function: Callable[..., Tensor]) -> tuple[Tensor, ...]:
        return torch.autograd.grad(function(*inputs).square().sum(), inputs)

    torch._dynamo.reset()
    with torch._inductor.config.patch({"cpp.threads": 2, "force_disable_caches": True}):
        found = gradients(torch.compile(semi_shift, fullgraph=True, dynamic=dynamic))
    torch.testing.assert_close(found, gradients(semi_shift), rtol=1e-4, atol=1e-4)
