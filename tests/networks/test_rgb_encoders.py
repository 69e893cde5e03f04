"""Encoders that see the image alone under the matting decoder, which sees the trimap too."""

import pytest
import torch
from networks.encoder_cases import CASES, Pyramid
from torch import Tensor

from denseup.networks import MattingNetwork

ODD = (37, 51)


@pytest.mark.parametrize("strides", [[2, 4, 8], [14, 14, 14], [1, 3], [2, 2, 6]])
def test_an_encoder_that_sees_the_image_alone_under_a_decoder_that_sees_the_trimap(strides: list[int]) -> None:
    made = Pyramid(strides, in_channels=3)
    network = MattingNetwork(made, "nearest", in_channels=4, width=2).eval()
    assert (network.in_channels, made.in_channels) == (4, 3)
    seen: list[Tensor] = []
    made.register_forward_hook(lambda _module, inputs, _out: seen.append(*inputs))
    sizes = [tuple(y.shape[2:]) for y in network.sources.beside(torch.zeros(1, 4, *ODD))]
    assert sizes == [(-(-ODD[0] // s), -(-ODD[1] // s)) for s in sorted(set(strides))]
    x = torch.randn(1, 4, *ODD)
    other = torch.cat([x[:, :3], torch.randn(1, 1, *ODD)], 1)
    assert not torch.equal(network(x), network(other))
    assert torch.equal(*seen)
    assert torch.equal(seen[0], x[:, :3])


def test_nothing_stands_beside_an_encoder_that_sees_all() -> None:
    """The same keys and weights as ever, whether the number of channels is given or not."""
    networks = []
    for options in ({}, {"in_channels": 4}):
        torch.manual_seed(0)
        networks.append(MattingNetwork(CASES["convnext"], width=4, **options).state_dict())
    assert not any("beside" in key for key in networks[0])
    torch.testing.assert_close(*networks, rtol=0, atol=0)


def test_an_encoder_by_name_may_see_the_image_alone() -> None:
    network = MattingNetwork({**CASES["convnext"], "in_channels": 3}, width=4)
    assert (network.in_channels, network.encoder.in_channels) == (4, 3)
    assert network(torch.randn(2, 4, 64, 32)).shape == (2, 1, 64, 32)


def test_an_encoder_that_takes_more_than_there_is() -> None:
    with pytest.raises(ValueError, match="in_channels is 3, expected those that Pyramid takes, 4"):
        MattingNetwork(Pyramid([2, 4]), in_channels=3)
    with pytest.raises(ValueError, match="in_channels is 4, expected that of the encoder, 3: the decoder mirrors"):
        MattingNetwork({**CASES["resnet34"], "in_channels": 3})
