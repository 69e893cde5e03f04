"""How autograd differentiates neighbourhood attention.

Its gradient is one operator, and that has a gradient in torch's own operators, some rows of the output at a time, so
that nothing of the size K²·C at output resolution is made. Nothing but the inputs is kept.
"""

from typing import Any

import torch
from torch import Tensor

from denseup.ops.attention.decomposition import backward_of_rows, centres_of
from denseup.ops.geometry import size_of

_OURS = torch.ops.denseup
BAND = 2**24
"""Numbers of the windows of as many output rows as are differentiated twice together."""


def save(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
    """For the operator and for its gradient."""
    *tensors, ctx.kernel_size, ctx.heads, ctx.scale, ctx.backend = inputs
    ctx.save_for_backward(*tensors)


def of_attention(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
    """Of query, key and value."""
    end = (ctx.kernel_size, ctx.heads, ctx.scale, ctx.backend)
    found = _OURS.neighbourhood_attention_backward.default(grad, *ctx.saved_tensors, *end)
    return *found, None, None, None, None


def of_attention_backward(ctx: Any, *grads: Tensor | None) -> tuple[Tensor | None, ...]:
    """Of the output's gradient, query, key and value."""
    grad, query, key, value = ctx.saved_tensors
    low = [x.detach().requires_grad_() for x in (key, value)]
    totals: list[Tensor] = [torch.zeros_like(x) for x in low]
    high: list[list[Tensor]] = [[], []]
    rows, columns = centres_of(query, size_of(key), ctx.kernel_size)
    step = _rows_at_once(query, value, ctx.kernel_size)
    for first in range(0, query.shape[2], step):
        band = slice(first, first + step)
        of_query = None if grads[0] is None else grads[0][:, :, band]
        with torch.enable_grad():
            leaves = [x[:, :, band].detach().requires_grad_() for x in (grad, query)] + low
            end = (ctx.kernel_size, ctx.heads, ctx.scale, (rows[band], columns))
            found = backward_of_rows(leaves[0], leaves[1], leaves[2], leaves[3], *end)
            pairs = [(y, g.to(y.dtype)) for y, g in zip(found, (of_query, *grads[1:]), strict=True) if g is not None]
            outputs, weights = ([pair[side] for pair in pairs] for side in (0, 1))
            slopes = torch.autograd.grad(outputs, leaves, weights, allow_unused=True, materialize_grads=True)
        for parts, slope in zip(high, slopes[:2], strict=True):
            parts.append(slope)
        totals = [total + slope for total, slope in zip(totals, slopes[2:], strict=True)]
    return *(torch.cat(parts, 2) for parts in high), *totals, None, None, None, None


def _rows_at_once(query: Tensor, value: Tensor, kernel_size: int) -> int:
    a_row = kernel_size**2 * (query.shape[1] + value.shape[1]) * query.shape[0] * query.shape[3]
    return max(1, BAND // max(1, a_row))
