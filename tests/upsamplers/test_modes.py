"""Modes and subclasses of torch that stand between a call and the values: no kernel goes past them.

Fake tensors have no values, wrappers have them elsewhere, and a tracer has to see each operator, or the graph that it
makes holds the example's values as constants.
"""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.fx.experimental.proxy_tensor import make_fx
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_map_only
from upsamplers.stages import FEWER, Stage

from denseup import create_upsampler, list_upsamplers

CHANNELS = 16
SHAPE = (2, CHANNELS, 12, 16)
LAYOUTS = (torch.contiguous_format, torch.channels_last)


class Wrapped(Tensor):
    """A tensor whose values lie in another one, as those of quantised and distributed tensors do."""

    inside: Tensor

    @staticmethod
    def __new__(cls, inside: Tensor) -> "Wrapped":
        made: Wrapped = torch.Tensor._make_wrapper_subclass(
            cls, inside.shape, inside.stride(), dtype=inside.dtype, device=inside.device
        )
        made.inside = inside
        return made

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        args, kwargs = tree_map_only(Wrapped, lambda x: x.inside, (args, kwargs or {}))
        return tree_map_only(Tensor, Wrapped, func(*args, **kwargs))


class Noting(TorchDispatchMode):
    """Notes what is called."""

    def __init__(self) -> None:
        super().__init__()
        self.called: list[str] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.called.append(str(func))
        return func(*args, **(kwargs or {}))


def stage(name: str) -> Stage:
    torch.manual_seed(0)
    return Stage(create_upsampler(name, de_channels=CHANNELS, **FEWER.get(name, {}))).eval()


def example(layout: torch.memory_format) -> Tensor:
    return torch.randn(SHAPE, generator=torch.Generator().manual_seed(1)).contiguous(memory_format=layout)


@pytest.mark.parametrize("grad", [True, False], ids=["grad", "no_grad"])
@pytest.mark.parametrize("layout", LAYOUTS, ids=str)
@pytest.mark.parametrize("name", list_upsamplers())
def test_fake_tensors(name: str, layout: torch.memory_format, grad: bool) -> None:
    module, x = stage(name), example(layout)
    expected = module(x)
    with FakeTensorMode(allow_non_fake_inputs=True) as mode, torch.set_grad_enabled(grad):
        made = module(mode.from_tensor(x))
    assert made.shape == expected.shape
    assert made.dtype == expected.dtype
    assert made.dim_order() == expected.dim_order()  # JBU's is cut from a larger map where modes are at work
    with torch.set_grad_enabled(grad):  # the mode is not at work, the tensor still fake
        assert module.to("meta")(torch.empty(SHAPE, device="meta").contiguous(memory_format=layout)).shape == made.shape


@pytest.mark.parametrize("layout", LAYOUTS, ids=str)
@pytest.mark.parametrize("name", list_upsamplers())
def test_values_that_lie_elsewhere(name: str, layout: torch.memory_format) -> None:
    module, x = stage(name).requires_grad_(False), example(layout)
    expected = module(x)
    found = module(Wrapped(x))
    torch.testing.assert_close(found.inside, expected, rtol=1e-5, atol=1e-5 * float(expected.abs().max()))


@pytest.mark.parametrize("layout", LAYOUTS, ids=str)
@pytest.mark.parametrize("name", list_upsamplers())
def test_a_traced_graph_depends_on_its_input(name: str, layout: torch.memory_format) -> None:
    module, x = stage(name).requires_grad_(False), example(layout)
    graph: Callable[[Tensor], Tensor] = make_fx(module)(x)
    for values in (x, 2 - x):
        expected = module(values)
        torch.testing.assert_close(graph(values), expected, rtol=1e-4, atol=1e-4 * float(expected.abs().max()))


@pytest.mark.parametrize("name", ["carafe", "fade", "sapa_d"])
def test_a_mode_is_told_of_what_turns_maps(name: str) -> None:
    module, x = stage(name).requires_grad_(False), example(torch.contiguous_format)
    with Noting() as noting:
        found = module(x)
    torch.testing.assert_close(found, module(x), rtol=1e-5, atol=1e-5)
    assert any("clone" in call for call in noting.called)
    assert any("denseup" in call for call in noting.called)
