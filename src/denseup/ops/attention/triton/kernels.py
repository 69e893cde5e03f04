# mypy: ignore-errors
# The code below is Triton's own language: Python's types do not describe it.
"""The Triton kernels of neighbourhood attention, for any strides, window, number of heads and pair of sizes.

Forward and the query's gradient: a program owns PIXELS neighbouring pixels of an output row and one head, and goes over
the taps of their windows, which begin in one row and in columns of their own; the softmax is kept up as it goes, so
that no weight is ever stored. The gradients of key and value: a program owns one low-resolution pixel and one head, and
gathers from the output pixels whose windows have it, a rectangle. Nothing is accumulated by atomic operations: the same
input gives the same bits.

Maps have strides batch, channel, row, column; reductions are spelt `tl.reduce`, for the reasons told in the kernels of
reassembly.
"""

import triton
import triton.language as tl
from triton.language.standard import _sum_combine


@triton.jit
def attention_kernel(
    query,
    key,
    value,
    out,
    top,  # [H]: first rows of windows
    left,  # [W]: first columns
    heads,
    channels,  # of one head
    value_channels,
    out_height,
    out_width,
    window_rows,
    window_columns,
    scale,
    query_b,
    query_c,
    query_y,
    query_x,
    key_b,
    key_c,
    key_y,
    key_x,
    value_b,
    value_c,
    value_y,
    value_x,
    out_b,
    out_c,
    out_y,
    out_x,
    blocks,
    PIXELS: tl.constexpr,
    CHANNELS: tl.constexpr,
    VALUE_CHANNELS: tl.constexpr,
):
    """`[B, D, H, W]`, `[B, D, h, w]`, `[B, C, h, w]` → `[B, C, H, W]`."""
    program = tl.program_id(0)
    block = program % blocks
    program = program // blocks
    y = (program % out_height).to(tl.int64)
    program = program // out_height
    head = (program % heads).to(tl.int64)
    batch = (program // heads).to(tl.int64)
    x = (block * PIXELS + tl.arange(0, PIXELS)).to(tl.int64)
    inside = x < out_width
    c = tl.arange(0, CHANNELS).to(tl.int64)
    v = tl.arange(0, VALUE_CHANNELS).to(tl.int64)
    mask = (c < channels)[:, None] & inside[None, :]
    value_mask = (v < value_channels)[:, None] & inside[None, :]
    first_row = tl.load(top + y)
    first_column = tl.load(left + x, mask=inside, other=0)
    at = query + batch * query_b + (head * channels + c)[:, None] * query_c + y * query_y + x[None, :] * query_x
    q = tl.load(at, mask=mask, other=0.0).to(tl.float32)
    keys = key + batch * key_b + (head * channels + c)[:, None] * key_c
    values = value + batch * value_b + (head * value_channels + v)[:, None] * value_c
    most = tl.full((PIXELS,), float("-inf"), tl.float32)
    total = tl.full((PIXELS,), 0.0, tl.float32)
    sums = tl.full((VALUE_CHANNELS, PIXELS), 0.0, tl.float32)
    for i in range(window_rows):
        for j in range(window_columns):
            row, column = first_row + i, first_column + j
            k = tl.load(keys + row * key_y + column[None, :] * key_x, mask=mask, other=0.0).to(tl.float32)
            logit = scale * tl.reduce(q * k, 0, _sum_combine)
            larger = tl.maximum(most, logit)
            shift = tl.where(larger == float("-inf"), 0.0, larger)  # of none but -inf: their weights are 0
            less = tl.where(most == float("-inf"), 0.0, tl.exp(most - shift))
            weight = tl.exp(logit - shift)
            near = tl.load(values + row * value_y + column[None, :] * value_x, mask=value_mask, other=0.0)
            sums = sums * less[None, :] + weight[None, :] * near.to(tl.float32)
            total = total * less + weight
            most = larger
    sums = sums / total[None, :]
    at = out + batch * out_b + (head * value_channels + v)[:, None] * out_c + y * out_y + x[None, :] * out_x
    tl.store(at, sums.to(out.dtype.element_ty), mask=value_mask)


@triton.jit
def query_backward_kernel(
    grad,
    query,
    key,
    value,
    d_query,
    softmax,  # [3, B, N, H, W], float32: largest logit, sum of exponentials, mean of the weights' gradient
    top,
    left,
    batches,
    heads,
    channels,
    value_channels,
    out_height,
    out_width,
    window_rows,
    window_columns,
    scale,
    grad_b,
    grad_c,
    grad_y,
    grad_x,
    query_b,
    query_c,
    query_y,
    query_x,
    key_b,
    key_c,
    key_y,
    key_x,
    value_b,
    value_c,
    value_y,
    value_x,
    d_query_b,
    d_query_c,
    d_query_y,
    d_query_x,
    blocks,
    PIXELS: tl.constexpr,
    CHANNELS: tl.constexpr,
    VALUE_CHANNELS: tl.constexpr,
):
    """The query's gradient, and what the softmax of every output pixel has in common for those of key and value."""
    program = tl.program_id(0)
    block = program % blocks
    program = program // blocks
    y = (program % out_height).to(tl.int64)
    program = program // out_height
    head = (program % heads).to(tl.int64)
    batch = (program // heads).to(tl.int64)
    x = (block * PIXELS + tl.arange(0, PIXELS)).to(tl.int64)
    inside = x < out_width
    c = tl.arange(0, CHANNELS).to(tl.int64)
    v = tl.arange(0, VALUE_CHANNELS).to(tl.int64)
    mask = (c < channels)[:, None] & inside[None, :]
    value_mask = (v < value_channels)[:, None] & inside[None, :]
    first_row = tl.load(top + y)
    first_column = tl.load(left + x, mask=inside, other=0)
    at = query + batch * query_b + (head * channels + c)[:, None] * query_c + y * query_y + x[None, :] * query_x
    q = tl.load(at, mask=mask, other=0.0).to(tl.float32)
    at = grad + batch * grad_b + (head * value_channels + v)[:, None] * grad_c + y * grad_y + x[None, :] * grad_x
    g = tl.load(at, mask=value_mask, other=0.0).to(tl.float32)
    keys = key + batch * key_b + (head * channels + c)[:, None] * key_c
    values = value + batch * value_b + (head * value_channels + v)[:, None] * value_c
    most = tl.full((PIXELS,), float("-inf"), tl.float32)
    total = tl.full((PIXELS,), 0.0, tl.float32)
    mean = tl.full((PIXELS,), 0.0, tl.float32)
    for i in range(window_rows):
        for j in range(window_columns):
            row, column = first_row + i, first_column + j
            k = tl.load(keys + row * key_y + column[None, :] * key_x, mask=mask, other=0.0).to(tl.float32)
            logit = scale * tl.reduce(q * k, 0, _sum_combine)
            larger = tl.maximum(most, logit)
            shift = tl.where(larger == float("-inf"), 0.0, larger)
            less = tl.where(most == float("-inf"), 0.0, tl.exp(most - shift))
            weight = tl.exp(logit - shift)
            near = tl.load(values + row * value_y + column[None, :] * value_x, mask=value_mask, other=0.0)
            mean = mean * less + weight * tl.reduce(g * near.to(tl.float32), 0, _sum_combine)
            total = total * less + weight
            most = larger
    most = tl.where(most == float("-inf"), 0.0, most)
    mean = mean / total
    sums = tl.full((CHANNELS, PIXELS), 0.0, tl.float32)
    for i in range(window_rows):
        for j in range(window_columns):
            row, column = first_row + i, first_column + j
            k = tl.load(keys + row * key_y + column[None, :] * key_x, mask=mask, other=0.0).to(tl.float32)
            weight = tl.exp(scale * tl.reduce(q * k, 0, _sum_combine) - most) / total
            near = tl.load(values + row * value_y + column[None, :] * value_x, mask=value_mask, other=0.0)
            slope = tl.reduce(g * near.to(tl.float32), 0, _sum_combine)
            sums += (scale * weight * (slope - mean))[None, :] * k
    at = (
        d_query
        + batch * d_query_b
        + (head * channels + c)[:, None] * d_query_c
        + y * d_query_y
        + x[None, :] * d_query_x
    )
    tl.store(at, sums.to(d_query.dtype.element_ty), mask=mask)
    at = softmax + ((batch * heads + head) * out_height + y) * out_width + x
    plane = tl.cast(batches, tl.int64) * heads * out_height * out_width
    tl.store(at, most, mask=inside)
    tl.store(at + plane, total, mask=inside)
    tl.store(at + 2 * plane, mean, mask=inside)


@triton.jit
def key_backward_kernel(
    grad,
    query,
    key,
    value,
    d_key,
    d_value,
    softmax,
    first_rows,  # [h]: of the output rows whose windows have a source row, the first
    last_rows,  # and the end
    first_columns,
    last_columns,
    batches,
    heads,
    channels,
    value_channels,
    height,
    width,
    out_height,
    out_width,
    scale,
    grad_b,
    grad_c,
    grad_y,
    grad_x,
    query_b,
    query_c,
    query_y,
    query_x,
    key_b,
    key_c,
    key_y,
    key_x,
    value_b,
    value_c,
    value_y,
    value_x,
    d_key_b,
    d_key_c,
    d_key_y,
    d_key_x,
    d_value_b,
    d_value_c,
    d_value_y,
    d_value_x,
    PIXELS: tl.constexpr,
    CHANNELS: tl.constexpr,
    VALUE_CHANNELS: tl.constexpr,
):
    """The gradients of key and value at one pixel."""
    program = tl.program_id(0)
    column = (program % width).to(tl.int64)
    program = program // width
    row = (program % height).to(tl.int64)
    program = program // height
    head = (program % heads).to(tl.int64)
    batch = (program // heads).to(tl.int64)
    c = tl.arange(0, CHANNELS).to(tl.int64)
    v = tl.arange(0, VALUE_CHANNELS).to(tl.int64)
    ok = c < channels
    value_ok = v < value_channels
    channel = head * channels + c
    value_channel = head * value_channels + v
    at = key + batch * key_b + channel * key_c + row * key_y + column * key_x
    k = tl.load(at, mask=ok, other=0.0).to(tl.float32)
    at = value + batch * value_b + value_channel * value_c + row * value_y + column * value_x
    near = tl.load(at, mask=value_ok, other=0.0).to(tl.float32)
    of_key = tl.full((CHANNELS,), 0.0, tl.float32)
    of_value = tl.full((VALUE_CHANNELS,), 0.0, tl.float32)
    lanes = tl.arange(0, PIXELS).to(tl.int64)
    plane = tl.cast(batches, tl.int64) * heads * out_height * out_width
    x_first = tl.load(first_columns + column)
    x_last = tl.load(last_columns + column)
    y = tl.load(first_rows + row)
    y_last = tl.load(last_rows + row)
    while y < y_last:
        start = x_first
        while start < x_last:
            x = start + lanes
            there = x < x_last
            query_at = query + batch * query_b + channel[:, None] * query_c + y * query_y + x[None, :] * query_x
            q = tl.load(query_at, mask=ok[:, None] & there[None, :], other=0.0).to(tl.float32)
            grad_at = grad + batch * grad_b + value_channel[:, None] * grad_c + y * grad_y + x[None, :] * grad_x
            g = tl.load(grad_at, mask=value_ok[:, None] & there[None, :], other=0.0).to(tl.float32)
            softmax_at = softmax + ((batch * heads + head) * out_height + y) * out_width + x
            most = tl.load(softmax_at, mask=there, other=0.0)
            total = tl.load(softmax_at + plane, mask=there, other=1.0)
            mean = tl.load(softmax_at + 2 * plane, mask=there, other=0.0)
            logit = scale * tl.reduce(q * k[:, None], 0, _sum_combine)
            weight = tl.where(there, tl.exp(logit - most) / total, 0.0)
            slope = tl.reduce(g * near[:, None], 0, _sum_combine)
            # beyond the pixels all is zero, but zero times what is not finite
            of_value += tl.reduce(tl.where(there[None, :], weight[None, :] * g, 0.0), 1, _sum_combine)
            of_logit = scale * weight * (slope - mean)
            of_key += tl.reduce(tl.where(there[None, :], of_logit[None, :] * q, 0.0), 1, _sum_combine)
            start += PIXELS
        y += 1
    at = d_key + batch * d_key_b + channel * d_key_c + row * d_key_y + column * d_key_x
    tl.store(at, of_key.to(d_key.dtype.element_ty), mask=ok)
    at = d_value + batch * d_value_b + value_channel * d_value_c + row * d_value_y + column * d_value_x
    tl.store(at, of_value.to(d_value.dtype.element_ty), mask=value_ok)
