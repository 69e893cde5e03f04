"""The published table of parameters and GFLOPs (FADE, IJCV 2024, arXiv:2407.13500), and how its numbers were counted.

A multiply-add is one operation, G is 1e9, the input 512×512. Of an upsampler count

- the convolutions without bias, the matrix products, and reassembly with K²·C for each output pixel (similarity and
  bilinear sampling alike), all by torch's FLOP counter and the formulas that our operators registered with it;
- the elementwise products named in `ELEMENTWISE`, for the table has them for some operators and not for others;
- no convolution of a globally pooled map (A2U predicts its kernels from such maps), and no down-sampling.

The base networks were counted in other ways: see `matting_base` and `segmentation_base`.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from typing import Any, Literal

import torch
from torch import nn

from denseup.networks import MattingResNet34, SegFormer
from denseup.profiling.flops import (
    ATEN,
    Formula,
    convolution,
    convolution_with_bias,
    count_macs,
    each_output_value,
    gated_reassembly,
)

GIGA, GIBI = 1e9, 2**30
INPUT_SIZE = 512
"""Of the additions of both tasks, and of the segmentation network."""
MATTING_INPUT_SIZE = 224
"""Of the matting network alone."""

Status = Literal["reproduced", "differs", "not published"]

MULTIPLY, GATE = ATEN.mul, torch.ops.denseup.fused_reassemble
_FORMULAS = {MULTIPLY: each_output_value(1), GATE: gated_reassembly}
ELEMENTWISE: Mapping[str, tuple[Any, ...]] = {
    "a2u": (MULTIPLY,),  # u·v, and affinity × common kernel
    "indexnet": (MULTIPLY,),  # index map × decoder feature
    "indexnet_o2o": (MULTIPLY,),
    "indexnet_m2o": (MULTIPLY,),
    "fade": (GATE,),  # gate·en + (1 - gate)·reassembled: two products
    "fade_lite": (GATE,),
}
"""The elementwise operators that the table counts for an upsampler; none for one that is not named."""


@dataclass(frozen=True)
class PublishedCost:
    """One row of the published table.

    Args:
        params: as printed, "0.12M".
        gflops: as printed.
        elementwise: where it differs from `ELEMENTWISE`.
        norm_parameters: whether scales and shifts of normalisation layers count.
        note: what a reader has to know about this row.
    """

    params: str
    gflops: str
    elementwise: tuple[Any, ...] | None = None
    norm_parameters: bool = True
    note: str = ""


PUBLISHED: Mapping[str, Mapping[str, PublishedCost]] = {
    "matting": {
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
    },
    "segmentation": {
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
    },
}


def published_cost(task: str, upsampler: str) -> PublishedCost | None:
    """The published row, None where there is none."""
    return PUBLISHED.get(task, {}).get(upsampler)


def compare(value: float, printed: str | None) -> Status:
    """Whether `value` rounds to what is printed ("0.12M", "27K", "8.85")."""
    if printed is None:
        return "not published"
    return "reproduced" if as_printed(value, printed) == printed else "differs"


def as_printed(value: float, pattern: str) -> str:
    """`value` in the unit and with the digits of `pattern`."""
    match = re.fullmatch(r"\d+(?:\.(\d+))?([KM]?)", pattern)
    if match is None:
        raise ValueError(f"pattern is {pattern!r}, expected a number as in '0.12M', '27K' or '8.85'")
    digits, unit = len(match[1] or ""), match[2]
    return f"{value / {'': 1, 'K': 1e3, 'M': 1e6}[unit]:.{digits}f}{unit}"


def addition_formulas(task: str, upsampler: str, smallest_map: int) -> dict[Any, Formula]:
    """Formulas that count an upsampler as the table does.

    Args:
        task, upsampler: names of the row.
        smallest_map: pixels of the decoder feature; convolutions with fewer output pixels work on pooled maps.
    """
    row = published_cost(task, upsampler)
    elementwise = ELEMENTWISE.get(upsampler, ()) if row is None or row.elementwise is None else row.elementwise

    def of_maps(*args: Any, out_shape: Any) -> int:
        return convolution(*args, out_shape=out_shape) if prod(out_shape[2:]) >= smallest_map else 0

    return {ATEN.convolution: of_maps, **{op: _FORMULAS[op] for op in elementwise}}


def added_parameters(task: str, upsampler: str, modules: nn.Module) -> int:
    """Parameters of the upsamplers of a network, as the row counts them."""
    row = published_cost(task, upsampler)
    norms = row is None or row.norm_parameters
    owners = (m for m in modules.modules() if norms or not isinstance(m, nn.GroupNorm))
    return sum(p.numel() for owner in owners for p in owner.parameters(recurse=False))


def base_cost(network: nn.Module) -> tuple[int, float] | None:
    """Parameters and GFLOPs of a base network (bilinear, on the meta device) in the table's way of counting.

    None if it is not one of the two published networks.
    """
    parameters = sum(p.numel() for p in network.parameters())
    if isinstance(network, MattingResNet34) and parameters == 8_049_003:
        return parameters, matting_base(network)
    if isinstance(network, SegFormer) and parameters == 13_715_798:
        classes = network.head.classify.out_channels
        unused = nn.Conv2d(128, classes, 1, device="meta")
        return parameters + sum(p.numel() for p in unused.parameters()), segmentation_base(network)
    return None


def matting_base(network: MattingResNet34) -> float:
    """Convolutions at 224×224, in units of 2^30, as if three of them had stride 2: a quarter of the work.

    Everything behind these three sees maps of the same size either way.
    """
    image = torch.empty(1, 4, MATTING_INPUT_SIZE, MATTING_INPUT_SIZE, device="meta")
    counts = count_macs(lambda: network(image))
    quartered = (network.encoder.stem[0], network.encoder.layer2[0].conv1, network.encoder.layer3[0].conv1)
    name = type(network).__name__
    names = [f"{name}.{key}" for key, module in network.named_modules() if module in quartered]
    saved = sum(3 * sum(counts[key].values()) // 4 for key in names)
    return (sum(counts["Global"].values()) - saved) / GIBI


def segmentation_base(network: SegFormer) -> float:
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
