"""What is put on or in place of a layer takes effect: hooks, adapted layers, functions in place of `forward`.

Kernels compute some layers from their weights, without calling them; they may not where somebody waits for the call.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.modules.module import register_module_forward_hook, register_module_forward_pre_hook
from upsamplers.stages import FEWER, Stage

from denseup import create_upsampler, list_upsamplers

CHANNELS = 16
Seen = list[nn.Module]


class Adapted(nn.Module):
    """In place of a layer, as low-rank adapters are: what it adds is in no weight of the layer."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def __getattr__(self, name: str) -> Any:
        try:
            return super().__getattr__(name)
        except AttributeError:
            return getattr(self.layer, name)  # its weight too

    def forward(self, *args: Any) -> Any:
        return 2 * self.layer(*args)


def stage(name: str) -> Stage:
    torch.manual_seed(0)
    made = Stage(create_upsampler(name, de_channels=CHANNELS, **FEWER.get(name, {}))).eval()
    for parameter in made.parameters():
        parameter.data.add_(0.05 * torch.randn_like(parameter))
    return made


def layers(module: nn.Module) -> dict[str, nn.Module]:
    """Those that have weights and no layers inside."""
    kinds = (nn.Conv2d, nn.ConvTranspose2d, nn.Linear, nn.GroupNorm, nn.LayerNorm, nn.BatchNorm2d)
    return {name: part for name, part in module.named_modules() if isinstance(part, kinds)}


@contextmanager
def hooks(module: nn.Module, seen: Seen) -> Iterator[None]:
    for layer in layers(module).values():
        layer.register_forward_hook(lambda layer, _inputs, _output: seen.append(layer))
    yield


@contextmanager
def hooks_before(module: nn.Module, seen: Seen) -> Iterator[None]:
    for layer in layers(module).values():
        layer.register_forward_pre_hook(lambda layer, _inputs: seen.append(layer))
    yield


@contextmanager
def hooks_of_all_modules(module: nn.Module, seen: Seen) -> Iterator[None]:
    handles = [register_module_forward_hook(lambda layer, _inputs, _output: seen.append(layer))]
    handles.append(register_module_forward_pre_hook(lambda _layer, _inputs: None))
    yield
    for handle in handles:
        handle.remove()


@contextmanager
def functions_in_place_of_forward(module: nn.Module, seen: Seen) -> Iterator[None]:
    """As libraries do that keep weights elsewhere until they are needed."""

    def noting(layer: nn.Module) -> Callable[..., Any]:
        forward = layer.forward

        def noted(*args: Any, **kwargs: Any) -> Any:
            seen.append(layer)
            return forward(*args, **kwargs)

        return noted

    for layer in layers(module).values():
        layer.forward = noting(layer)  # type: ignore[method-assign]
    yield


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last], ids=str)
@pytest.mark.parametrize(
    "watched", [hooks, hooks_before, hooks_of_all_modules, functions_in_place_of_forward], ids=lambda f: f.__name__
)
@pytest.mark.parametrize("name", list_upsamplers())
def test_every_layer_is_called_where_somebody_waits(name: str, watched: Any, layout: torch.memory_format) -> None:
    module, x = stage(name), torch.randn(2, CHANNELS, 12, 16).contiguous(memory_format=layout)
    expected, seen = module(x), Seen()
    with watched(module, seen):
        found = module(x)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4 * float(expected.abs().max()))
    assert {key for key, layer in layers(module).items() if layer not in seen} == set()


@pytest.mark.parametrize("name", list_upsamplers())
def test_a_layer_in_place_of_another_counts(name: str) -> None:
    """Whichever layer: twice what a layer gives is what it gives with twice its weight and bias."""
    x = torch.randn(2, CHANNELS, 12, 16).contiguous(memory_format=torch.channels_last)
    for key in layers(stage(name)):
        module, other = stage(name), stage(name)
        for parameter in module.get_submodule(key).parameters():
            parameter.data.mul_(2)
        parent, _, last = key.rpartition(".")
        replaced: nn.Module = Adapted(other.get_submodule(key))
        setattr(other.get_submodule(parent), last, replaced)
        expected: Tensor = module(x)
        torch.testing.assert_close(other(x), expected, rtol=1e-4, atol=1e-4 * float(expected.abs().max()), msg=key)
