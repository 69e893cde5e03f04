"""Whether two implementations computed the same."""

import math
from collections.abc import Mapping

import torch
from torch import Tensor

Results = Mapping[str, Tensor]
"""What was computed, by name: outputs and gradients."""

TOLERANCES = {torch.float64: 1e-12, torch.float32: 1e-5, torch.float16: 4e-3, torch.bfloat16: 3e-2}
"""Of one operator: a few roundings of each precision. Sums of K² terms in that precision itself still pass."""


def worst_error(results: Results, truth: Results) -> tuple[float, str]:
    """The greatest of all differences, relative to the greatest true value of the same tensor, and which tensor has it.

    Args:
        results, truth: the same names, each with the same shape; compared in float64.

    Returns:
        The error (infinite for a missing tensor, another shape, or values that are not finite) and the name.
    """
    errors = {name: _error(results.get(name), expected) for name, expected in truth.items()}
    errors |= {name: math.inf for name in results if name not in truth}
    worst = max(errors, key=lambda name: errors[name])
    return errors[worst], worst


def _error(result: Tensor | None, expected: Tensor) -> float:
    if result is None or result.shape != expected.shape:
        return math.inf
    result, expected = result.detach().double(), expected.detach().double()
    scale = expected.abs().max().clamp(min=torch.finfo(torch.float64).tiny)
    error = float((result - expected).abs().max() / scale)
    return error if math.isfinite(error) else math.inf
