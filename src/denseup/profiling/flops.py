"""Multiply-adds of a call, from torch's FLOP counter and the formulas that our operators register with it.

torch counts a multiply-add as two operations; everything here counts it as one ("MAC"), as papers on upsampling do.
Modules and inputs may be on the "meta" device: then only shapes are followed, and nothing is computed.
"""

from collections.abc import Callable, Mapping
from math import prod
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode, conv_flop_count

Formula = Callable[..., int]
"""(shapes or values of an operator's arguments, out_shape=…) → multiply-adds."""

ATEN = torch.ops.aten


def count_macs(call: Callable[[], object], formulas: Mapping[Any, Formula] | None = None) -> dict[str, dict[str, int]]:
    """Count a call.

    Args:
        call: runs the module; wrap it in `torch.no_grad` where gradients are not to be counted, it is faster.
        formulas: operator (as torch.ops.aten.mul) → formula, beside or instead of torch's and ours.

    Returns:
        Multiply-adds of each operator in each module that was called, by its dotted name; "Global" has the sums.
    """
    doubled = {operator: _doubled(formula) for operator, formula in (formulas or {}).items()}
    with FlopCounterMode(display=False, custom_mapping=doubled) as counter:
        call()
    counts = counter.get_flop_counts()
    return {module: {str(op): flops // 2 for op, flops in by_op.items()} for module, by_op in counts.items()}


def total_macs(call: Callable[[], object], formulas: Mapping[Any, Formula] | None = None) -> int:
    """The sum of `count_macs` over all operators."""
    return sum(count_macs(call, formulas).get("Global", {}).values())


def convolution(
    x_shape: Any,
    weight_shape: Any,
    bias: Any,
    stride: Any,
    padding: Any,
    dilation: Any,
    transposed: bool,
    *args: Any,
    out_shape: Any,
) -> int:
    """Multiply-adds of a convolution, without its bias."""
    return int(conv_flop_count(x_shape, weight_shape, out_shape, transposed)) // 2


def convolution_with_bias(x_shape: Any, weight_shape: Any, bias: Any, *args: Any, out_shape: Any) -> int:
    """Multiply-adds of a convolution, and an addition for each output value if it has a bias."""
    return convolution(x_shape, weight_shape, bias, *args, out_shape=out_shape) + (prod(out_shape) if bias else 0)


def each_output_value(times: int) -> Formula:
    """So many operations for each output value of an elementwise operator.

    A product with a number or with a scalar tensor is a change of scale and counts nothing.
    """

    def formula(*shapes: Any, out_shape: Any, **kwargs: Any) -> int:
        scales = any(not isinstance(shape, tuple | list | torch.Size) or len(shape) == 0 for shape in shapes)
        return 0 if scales else times * prod(out_shape)

    return formula


def gated_reassembly(
    de_shape: Any, logits_shape: Any, en_shape: Any, gate_shape: Any, kernel_size: int, *args: Any, out_shape: Any
) -> int:
    """K² multiply-adds for each output value, and two products for the gate where there is one."""
    return (kernel_size**2 + (2 if en_shape else 0)) * prod(out_shape)


def _doubled(formula: Formula) -> Formula:
    """The same in torch's unit, taking the keywords that its counter passes."""

    def flops(*args: Any, out_shape: Any = None, **kwargs: Any) -> int:
        return 2 * formula(*args, out_shape=out_shape)

    return flops
