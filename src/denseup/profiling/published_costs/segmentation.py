"""Segmentation: SegFormer-B1 with 150 classes, counted at 512×512."""

from math import prod
from typing import Any

import torch
from torch import nn

from denseup.networks import SegmentationNetwork
from denseup.profiling.flops import ATEN, convolution_with_bias, count_macs, each_output_value
from denseup.profiling.published_costs.facts import GIGA, INPUT_SIZE, PublishedCost, TaskCosts

BASE_PARAMETERS = 13_715_798

ROWS = {
    "bilinear": PublishedCost(
        "13.7M",
        "15.91",
        note="base network, with the biases of convolutions, the head's batch norm and ReLU; the parameters "
        "include 19,350 of a layer that the original never uses",
    ),
    "carafe": PublishedCost("0.44M", "1.45"),
    "indexnet": PublishedCost("12.60M", "30.65", note="holistic, nonlinear, with context"),
    "a2u": PublishedCost("0.12M", "0.41", note="with the parameters of its group norms and of its down-sampling"),
    "fade": PublishedCost("0.29M", "2.65", note="with the two products of the gate"),
    "fade_lite": PublishedCost("80K", "0.89", note="with the two products of the gate"),
}


def base(network: nn.Module) -> tuple[int, float] | None:
    """Parameters and operations of the published network, None for another one.

    The parameters include those of a layer that the original never uses.
    """
    parameters = sum(p.numel() for p in network.parameters())
    if not isinstance(network, SegmentationNetwork) or parameters != BASE_PARAMETERS:
        return None
    unused = nn.Conv2d(128, network.head.classify.out_channels, 1, device="meta")
    return parameters + sum(p.numel() for p in unused.parameters()), _operations(network)


def _operations(network: SegmentationNetwork) -> float:
    """All products at 512×512, biases of convolutions, two operations a value for batch norm and one for ReLU.

    The projections of the head count as the linear layers that they are in the original: without bias.
    """
    image = torch.empty(1, 3, INPUT_SIZE, INPUT_SIZE, device="meta")

    def batch_norm(*args: Any, out_shape: Any) -> int:
        return 2 * prod(out_shape[0])

    norms = (ATEN.native_batch_norm, ATEN._native_batch_norm_legit_no_training)
    formulas = {ATEN.convolution: convolution_with_bias, ATEN.relu: each_output_value(1)}
    counts = count_macs(lambda: network(image), {**formulas, **dict.fromkeys(norms, batch_norm)})
    pixels = sum((image.shape[2] // stride) ** 2 for stride in (4, 8, 16, 32))
    biases = network.head.fuse.get_parameter("0.weight").shape[0] * pixels
    return (sum(counts["Global"].values()) - biases) / GIGA


COSTS = TaskCosts(ROWS, base)
