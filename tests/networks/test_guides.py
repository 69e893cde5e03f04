"""Upsamplers guided by the image, and those that change the encoder feature: in both networks, counted and drawn."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from upsamplers.sample_operators import JointBilateral, Refining

from denseup.engine.callbacks.feature_evolution import upsampled_features
from denseup.networks import MattingResNet34, SegFormer, SegFormerHead
from denseup.profiling.counting import Subject, count_costs, stage_calls
from denseup.upsamplers import Bilinear, Upsampler

TINY = {"hidden_sizes": [8, 8, 8, 8], "depths": [1, 1, 1, 1], "num_attention_heads": [1, 1, 1, 1]}


def matting(upsampler: Any) -> MattingResNet34:
    torch.manual_seed(0)
    return MattingResNet34(upsampler, width=4, depths=(1, 1, 1), dropout=0.0)


def segformer(upsampler: Any) -> SegFormer:
    torch.manual_seed(0)
    return SegFormer("b0", 5, upsampler, embed_dim=8, dropout=0.0, drop_path=0.0, backbone=TINY)


NETWORKS = [(matting, 4), (segformer, 3)]


def seen(network: nn.Module, kind: type[Upsampler], name: str) -> list[Any]:
    """What every upsampler is called with as the keyword `name`, by the operator itself."""
    values = []
    for module in network.modules():
        if isinstance(module, kind):
            inner = module.upsample
            module.upsample = lambda *args, inner=inner, **more: (values.append(more.get(name)), inner(*args, **more))[
                1
            ]
    return values


@pytest.mark.parametrize("operator", [JointBilateral, Refining])
@pytest.mark.parametrize(("build", "channels"), NETWORKS)
@pytest.mark.parametrize("size", [(32, 48), (37, 51)])
def test_they_train(build: Callable, channels: int, operator: type[Upsampler], size: tuple[int, int]) -> None:
    network = build(operator)
    network(torch.randn(2, channels, *size)).square().mean().backward()
    unused = {key for key, parameter in network.named_parameters() if parameter.grad is None}
    assert all(".back." in key for key in unused)
    if operator is Refining:  # one upsampler of each network changes what is looked at again
        changing = {
            key.rsplit(".", 2)[0] for key, _ in network.named_parameters() if ".back." in key and key not in unused
        }
        assert changing == {"upsamplers.2" if build is matting else "head.upsamplers.5"}


@pytest.mark.parametrize(("build", "channels"), NETWORKS)
def test_the_image_is_the_rgb_of_the_input(build: Callable, channels: int) -> None:
    network = build(JointBilateral).eval()
    images = seen(network, JointBilateral, "image")
    x = torch.randn(1, channels, 37, 51)
    network(x)
    assert images
    assert all(torch.equal(image, x[:, :3]) for image in images)


@pytest.mark.parametrize(("build", "channels"), NETWORKS)
def test_the_image_goes_to_those_alone_that_ask(build: Callable, channels: int) -> None:
    network = build(Bilinear).eval()
    images = seen(network, Bilinear, "image")
    network(torch.randn(1, channels, 32, 32))
    assert images
    assert all(image is None for image in images)


class Marking(Upsampler):
    """Nearest-neighbour interpolation; marks the encoder feature by its own number."""

    guided = changes_en = True
    number = 0

    def upsample(self, de: Tensor, en: Tensor, size: Any, state: Any) -> tuple[Tensor, Tensor]:
        return nn.functional.interpolate(de, size), torch.full_like(en, self.number)


class Direct(Marking):
    """The same in one step."""

    direct = True


def numbered(network: nn.Module) -> None:
    for number, module in enumerate(network.upsamplers):
        module.number = number + 1


def test_the_shortcut_of_the_matting_network_comes_from_the_changed_feature() -> None:
    network = matting(Marking).eval()
    numbered(network)
    sources = []
    for stage in network.decoder:
        stage.shortcut.register_forward_pre_hook(lambda _module, args: sources.append(args[0]))
    x = torch.randn(1, 4, 32, 32)
    network(x)
    assert (sources[2] == 3).all()  # the one shortcut whose source is the guide
    assert torch.equal(sources[3], x)
    assert all(source.std() > 0 for source in sources[:2])


@pytest.mark.parametrize(("operator", "number"), [(Marking, 6), (Direct, 3)])
def test_the_head_fuses_the_finest_map_as_the_last_step_of_the_last_chain_left_it(
    operator: type[Marking], number: int
) -> None:
    head = SegFormerHead([8, 8, 8, 8], 3, operator, embed_dim=4)
    numbered(head)
    fused = []
    head.fuse.register_forward_pre_hook(lambda _module, args: fused.append(args[0]))
    head([torch.randn(2, 8, 16 >> level, 16 >> level) for level in range(4)])
    assert (fused[0][:, 12:] == number).all()


@pytest.mark.parametrize("operator", [JointBilateral, Refining])
@pytest.mark.parametrize(("task", "build", "channels"), [("matting", *NETWORKS[0]), ("segmentation", *NETWORKS[1])])
def test_they_are_counted(task: str, build: Callable, channels: int, operator: type[Upsampler]) -> None:
    factories = {"bilinear": Bilinear, "sample": operator}
    rows = count_costs(Subject(task, build, channels), factories, 64)
    assert rows[1]["params_added"] > 0
    with torch.device("meta"):
        calls = stage_calls(build(operator).eval(), torch.empty(1, channels, 64, 64))
    assert {tuple(call.image.shape) for call in calls} == {(1, 3, 64, 64)}
    assert all(torch.is_tensor(call()) for call in calls)


@pytest.mark.parametrize(("operator", "kind"), [(Bilinear, Tensor), (JointBilateral, Tensor), (Refining, tuple)])
@pytest.mark.parametrize(("build", "channels"), NETWORKS)
def test_hooks_see_a_pair_only_of_those_that_change(
    build: Callable, channels: int, operator: type[Upsampler], kind: type
) -> None:
    network, seen = build(operator).eval(), []
    for module in network.modules():
        if isinstance(module, Upsampler):
            module.register_forward_hook(lambda _module, _inputs, output: seen.append(type(output)))
    network(torch.randn(1, channels, 32, 32))
    assert set(seen) == {kind}


@pytest.mark.parametrize("operator", [JointBilateral, Refining])
@pytest.mark.parametrize(("build", "channels", "expected"), [(*NETWORKS[0], 4), (*NETWORKS[1], 3 * 8)])
def test_they_are_drawn(build: Callable, channels: int, expected: int, operator: type[Upsampler]) -> None:
    network = build(operator).eval()
    x = torch.randn(1, channels, 32, 48)
    assert upsampled_features(network, lambda: network(x))[0].shape[0] == expected
