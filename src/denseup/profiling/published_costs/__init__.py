"""The published table of parameters and GFLOPs (FADE, IJCV 2024, arXiv:2407.13500), and how its numbers were counted.

A multiply-add is one operation, G is 1e9, the input 512×512. Of an upsampler count

- the convolutions without bias, the matrix products, and reassembly with K²·C for each output pixel (similarity and
  bilinear sampling alike), all by torch's FLOP counter and the formulas that our operators registered with it;
- the elementwise products named in `ELEMENTWISE`, for the table has them for some operators and not for others;
- no convolution of a globally pooled map (A2U predicts its kernels from such maps), and no down-sampling.

The base networks were counted in other ways. They and the printed rows stand in a module for each task.
"""

import re
from collections.abc import Mapping
from math import prod
from typing import Any, Literal

import torch
from torch import nn

from denseup.profiling.by_task import module_of
from denseup.profiling.flops import ATEN, Formula, convolution, each_output_value, gated_reassembly
from denseup.profiling.published_costs.facts import GIGA, INPUT_SIZE, PublishedCost, TaskCosts

__all__ = [
    "GIGA",
    "INPUT_SIZE",
    "PublishedCost",
    "TaskCosts",
    "added_parameters",
    "addition_formulas",
    "as_printed",
    "base_cost",
    "compare",
    "published_cost",
    "published_costs",
]

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


def published_costs(task: str) -> TaskCosts | None:
    """The published table of a task: `COSTS` of the module by its name, None where there is none."""
    module = module_of(__name__, task)
    return None if module is None else module.COSTS


def published_cost(task: str, upsampler: str) -> PublishedCost | None:
    """The published row, None where there is none."""
    table = published_costs(task)
    return None if table is None else table.rows.get(upsampler)


def base_cost(task: str, network: nn.Module) -> tuple[int, float] | None:
    """Parameters and GFLOPs of a base network (bilinear, on the meta device) in the table's way of counting.

    None if it is not the published network of the task.
    """
    table = published_costs(task)
    return None if table is None else table.base(network)


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
