"""A network is what it makes of its encoder's maps; a frozen encoder gives the same ones for ever."""

import pytest
import torch
from networks.encoder_cases import CASES, encoder
from torch import nn

from denseup.networks import MattingNetwork, SegmentationNetwork
from denseup.networks.base import EncoderDecoder


def networks(case: str) -> list[EncoderDecoder]:
    """Of either kind, on an encoder of RGB images; the matting decoder mirrors one that leaves its pooling."""
    built: list[EncoderDecoder] = [SegmentationNetwork(encoder(case), 3, "fade", embed_dim=8, dropout=0.0)]
    if not encoder(case).leaves_pooling:
        built.append(MattingNetwork(encoder(case), "fade", in_channels=4, width=4, dropout=0.0))
    return built


@pytest.mark.parametrize("case", CASES)
def test_maps_from_elsewhere_are_as_good(case: str) -> None:
    for network in networks(case):
        x = torch.randn(1, network.in_channels, 45, 64)
        network.eval()
        with torch.no_grad():
            assert torch.equal(network(x), network(x, network.encode(x)))


@pytest.mark.parametrize("case", CASES)
def test_a_frozen_encoder_learns_nothing(case: str) -> None:
    for network in networks(case):
        network.freeze_encoder()
        network.train()
        part = network.get_submodule(network.encoder_name)
        assert network.training
        assert not any(module.training for module in part.modules())
        before = {key: value.clone() for key, value in part.state_dict().items()}
        network(torch.randn(2, network.in_channels, 45, 64)).sum().backward()
        assert all(p.grad is None for p in part.parameters())
        assert all(torch.equal(value, before[key]) for key, value in part.state_dict().items())
        learning = [p for p in network.parameters() if p.requires_grad]
        assert learning
        assert {id(p) for p in learning}.isdisjoint(id(p) for p in part.parameters())


def test_a_network_without_both_steps_says_so() -> None:
    class Whole(EncoderDecoder):
        pass

    with pytest.raises(NotImplementedError, match="Whole must implement encode"):
        Whole()(torch.zeros(1, 3, 4, 4))
    with pytest.raises(NotImplementedError, match="Whole must implement decode"):
        Whole()(torch.zeros(1, 3, 4, 4), [])
    assert isinstance(Whole(), nn.Module)
