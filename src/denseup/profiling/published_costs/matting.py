"""Matting: a ResNet-34 network; what the upsamplers add was counted at 512×512, the network alone at 224×224."""

import torch
from torch import nn

from denseup.networks import MattingNetwork
from denseup.networks.encoders import ResNet34
from denseup.profiling.flops import count_macs
from denseup.profiling.published_costs.facts import PublishedCost, TaskCosts

GIBI = 2**30
BASE_INPUT_SIZE = 224
BASE_PARAMETERS = 8_049_003

ROWS = {
    "bilinear": PublishedCost(
        "8.05M",
        "8.61",
        note="base network, at 224×224 and in units of 2^30, the first convolutions of stem, layer2 and layer3 at "
        "stride 2 as in a plain ResNet; the released network has them at stride 1",
    ),
    "carafe": PublishedCost("0.26M", "6.00"),
    "indexnet_m2o": PublishedCost(
        "12.26M",
        "31.70",
        note="published as IndexNet, its variant unsaid; of the authors' variants this one comes nearest",
    ),
    "a2u": PublishedCost("38K", "0.66", norm_parameters=False, note="without the parameters of its group norms"),
    "fade": PublishedCost("0.12M", "8.85", note="with the two products of the gate"),
    "fade_lite": PublishedCost("27K", "1.46", elementwise=(), note="without the two products of the gate"),
}


def base(network: nn.Module) -> tuple[int, float] | None:
    """Parameters and operations of the published network, None for another one.

    The operations are convolutions at 224×224, in units of 2^30, as if three of them had stride 2: a quarter of the
    work. Everything behind these three sees maps of the same size either way.
    """
    parameters = sum(p.numel() for p in network.parameters())
    if not isinstance(network, MattingNetwork) or parameters != BASE_PARAMETERS:
        return None
    encoder = network.encoder
    assert isinstance(encoder, ResNet34)
    image = torch.empty(1, 4, BASE_INPUT_SIZE, BASE_INPUT_SIZE, device="meta")
    counts = count_macs(lambda: network(image))
    quartered = (encoder.stem[0], encoder.layer2[0].conv1, encoder.layer3[0].conv1)
    name = type(network).__name__
    names = [f"{name}.{key}" for key, module in network.named_modules() if module in quartered]
    saved = sum(3 * sum(counts[key].values()) // 4 for key in names)
    return parameters, (sum(counts["Global"].values()) - saved) / GIBI


COSTS = TaskCosts(ROWS, base)
