"""Paired by construction: at equal seed nothing but the upsamplers differs between two networks, to the bit."""

import random
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np
import pytest
import torch
from configuring import configure
from networks.encoder_cases import MIT
from torch import Tensor, nn

from denseup.cli.build import build_data
from denseup.networks import MattingNetwork, MattingResNet34, SegmentationNetwork
from denseup.networks.base import own_stream
from denseup.upsamplers import Bilinear, Upsampler, list_upsamplers, upsampler_factory
from denseup.upsamplers.base import UpsamplerFactory
from denseup.upsamplers.start import STARTS

Build = Callable[[Any], nn.Module]

ENCODER = {"name": "mit_b0", "drop_path": 0.5, **MIT}
NETWORKS: dict[str, tuple[Build, int]] = {
    "matting, pooling encoder": (lambda up: MattingResNet34(up, width=8, depths=(1, 1, 1), dropout=0.5), 4),
    "matting, plain encoder": (lambda up: MattingNetwork(ENCODER, up, width=8, dropout=0.5), 4),
    "segmentation": (lambda up: SegmentationNetwork(ENCODER, 5, up, embed_dim=8, dropout=0.5), 3),
}
"""Network from a factory, and the channels of its input."""

every_network = pytest.mark.parametrize("network", NETWORKS)


def built(network: str, upsampler: UpsamplerFactory) -> tuple[nn.Module, dict[str, Tensor]]:
    """The network at seed 0, and all that it consists of but its upsamplers; also where the random stream stands."""
    torch.manual_seed(0)
    made = NETWORKS[network][0](upsampler)
    return made, {**outside(made), "stream": torch.get_rng_state()}


def outside(made: nn.Module) -> dict[str, Tensor]:
    return {key: value.clone() for key, value in made.state_dict().items() if "upsamplers." not in key}


def streams(network: str, upsampler: UpsamplerFactory) -> list[Tensor]:
    """Where the random stream stands after each part of two training steps: the masks are drawn from it."""
    made, _ = built(network, upsampler)
    made.train()
    optimizer, found = torch.optim.AdamW(made.parameters()), []
    x = torch.randn(2, NETWORKS[network][1], 64, 64, generator=torch.Generator().manual_seed(1))
    for _ in range(2):
        out = made(x)
        found.append(torch.get_rng_state())
        out.square().mean().backward()
        optimizer.step()
        optimizer.zero_grad()
        found.append(torch.get_rng_state())
    return found


@lru_cache(maxsize=len(NETWORKS))
def beside_bilinear(network: str) -> tuple[dict[str, Tensor], list[Tensor]]:
    return built(network, Bilinear)[1], streams(network, Bilinear)


def check_equal(found: dict[str, Tensor], expected: dict[str, Tensor]) -> None:
    assert list(found) == list(expected)
    for key, value in found.items():
        assert torch.equal(value, expected[key]), key


class Drawing(Bilinear):
    """Draws when it is built and, if asked to, when it runs: as one with weights and a dropout of its own would."""

    def __init__(self, *channels: int, runs: bool = False) -> None:
        super().__init__(*channels)
        self.runs = runs
        self.layer = nn.Conv2d(self.de_channels, 3, 1)

    def upsample(self, de: Tensor, *others: Any) -> Tensor:
        out = super().upsample(de, *others)
        return out * (1 + 1e-3 * torch.randn(1)) if self.runs else out


@every_network
@pytest.mark.parametrize("start", STARTS)
@pytest.mark.parametrize("name", list_upsamplers())
def test_the_rest_of_the_network_starts_equal(name: str, start: str, network: str) -> None:
    expected, _ = beside_bilinear(network)
    made, found = built(network, upsampler_factory(name, start=start))
    check_equal(found, expected)
    assert expected["stream"].any()
    assert {m.start for m in made.modules() if isinstance(m, Upsampler)} == {start}


@every_network
def test_so_it_does_beside_an_upsampler_of_ones_own(network: str) -> None:
    check_equal(built(network, Drawing)[1], beside_bilinear(network)[0])


@every_network
@pytest.mark.parametrize("name", list_upsamplers())
def test_masks_are_equal_in_training(name: str, network: str) -> None:
    _, expected = beside_bilinear(network)
    assert not torch.equal(expected[0], expected[2])  # the network does draw masks
    for one, other in zip(streams(network, upsampler_factory(name)), expected, strict=True):
        assert torch.equal(one, other)


@every_network
def test_an_upsampler_that_draws_when_it_runs_would_show(network: str) -> None:
    drawing = streams(network, lambda *channels: Drawing(*channels, runs=True))
    assert not torch.equal(drawing[0], beside_bilinear(network)[1][0])


@pytest.mark.parametrize("task", ["matting", "segmentation"])
def test_batches_do_not_depend_on_what_was_drawn(task: str) -> None:
    batches = []
    for seed in (1, 2):
        for draw in (torch.manual_seed, np.random.seed, random.seed):
            draw(seed)
        small = ["data.image_size=64", "data.train_length=4", "data.batch_size=2", "data.num_workers=0", "data.seed=0"]
        data = build_data(configure(f"task={task}", *small))
        data.setup("fit")
        batches.append(list(data.train_dataloader()))
    for one, other in zip(*batches, strict=True):
        assert one.pop("name") == other.pop("name")
        check_equal(one, other)


def test_a_network_that_is_initialised_again_is_paired_too() -> None:
    found = []
    for upsampler in (Bilinear, Drawing):
        made, _ = built("matting, pooling encoder", upsampler)
        made.reset_parameters()
        found.append({**outside(made), "stream": torch.get_rng_state()})
    check_equal(*found)


@pytest.mark.parametrize("name", list_upsamplers())
def test_the_matting_networks_rule_spares_a_neutral_start(name: str) -> None:
    made, _ = built("matting, pooling encoder", upsampler_factory(name, start="neutral"))
    before = {key: value.clone() for key, value in made.upsamplers.state_dict().items()}
    made.reset_parameters()
    check_equal(made.upsamplers.state_dict(), before)


def test_the_stages_of_a_network_do_not_start_equal() -> None:
    made, _ = built("segmentation", upsampler_factory("fade"))
    weights = [up.gate.weight for up in made.head.upsamplers]
    assert not any(torch.equal(weights[0], other) for other in weights[1:])


def test_networks_of_the_meta_device_are_built() -> None:
    for network in NETWORKS:
        with torch.device("meta"):
            made, _ = built(network, upsampler_factory("fade", start="neutral"))
        assert all(p.is_meta for p in made.parameters())


def test_a_stream_of_ones_own_depends_on_the_outer_one_alone() -> None:
    drawn = []
    for count in (1, 1000):
        torch.manual_seed(0)
        with own_stream():
            first = torch.rand(count)[0]
        with own_stream():
            second = torch.rand(1)[0]
        drawn.append((first, second, torch.rand(1)[0]))
    assert drawn[0] == drawn[1]
    assert len(set(map(float, drawn[0]))) == 3


def test_an_error_within_leaves_the_outer_stream_as_it_was() -> None:
    torch.manual_seed(0)
    with pytest.raises(ZeroDivisionError), own_stream():
        raise ZeroDivisionError
    after = torch.rand(1)
    torch.manual_seed(0)
    with own_stream():
        pass
    assert torch.equal(torch.rand(1), after)
