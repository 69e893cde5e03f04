# mypy: ignore-errors
# The code below is Triton's own language: Python's types do not describe it.
"""The Triton kernels of reassembly, for any strides, any window, any number of groups and any pair of sizes.

Common to all: a program owns a tile of PIXELS = TILE_Y·TILE_X pixels (of the low-resolution map, but for
`softmax_backward_kernel`) times a block of CHANNELS channels of one group. Which of the two runs along the lanes of a
warp is not written here: Triton follows the axis along which the addresses are contiguous, so that one kernel serves
both memory formats, and the caller only chooses the shape of the tile. Two hints help it. `multiple_of(…, 1)` says that
nothing is known of the alignment of columns: else a thread would own eight neighbouring pixels, with four weights to
load for each. `max_contiguous(…, 2)` makes the columns of the output count as an axis to follow although only every
second is touched; without alignment no access is widened by it. (Left to itself, Triton 3.6 would follow the channels.)

An output pixel is named by its source pixel and its phase (row, column) among the output pixels of that source pixel:
those of source row i are ceil(i·H/h) … ceil((i + 1)·H/h) - 1. FACTOR_Y is H/h where that is an integer, else 0. The
kernels that hold accumulators for several output pixels of a source pixel hold 2×2 of them; a larger ratio takes
several programs. Names end in the phase: 01 is row 0, column 1 of the 2×2.

Offsets are 64-bit where they count elements of a map. Reductions are spelt `tl.reduce`, because `tl.sum` and `tl.max`
are themselves compiled functions, which the interpreter cannot call if Triton was imported before it was switched on
(torch imports it).
Nothing is accumulated by atomic operations: the same input gives the same bits.
"""

import triton
import triton.language as tl
from triton.language.standard import _elementwise_max, _sum_combine


@triton.jit
def reassemble_kernel(
    de,
    kernels,
    en,
    gate,
    out,
    channels,  # of one group
    groups,
    height,
    width,
    out_height,
    out_width,
    de_b,
    de_c,
    de_y,
    de_x,
    kernels_b,
    kernels_c,
    kernels_y,
    kernels_x,
    en_b,
    en_c,
    en_y,
    en_x,
    gate_b,
    gate_y,
    gate_x,
    out_b,
    out_c,
    out_y,
    out_x,
    channel_blocks,
    phase_rows,
    phase_columns,
    tile_rows,
    tile_columns,
    K: tl.constexpr,
    TAPS: tl.constexpr,
    FACTOR_Y: tl.constexpr,
    FACTOR_X: tl.constexpr,
    SOFTMAX: tl.constexpr,
    GATED: tl.constexpr,
    ROW_WISE: tl.constexpr,
    TILE_Y: tl.constexpr,
    TILE_X: tl.constexpr,
    CHANNELS: tl.constexpr,
):
    """Reassembly: one load of a window pixel serves four output pixels. SOFTMAX normalises `kernels`, GATED mixes `en`.
    ROW_WISE is for NCHW: a hint, no other result.

    Neighbouring programs share the tile of pixels and differ in their channels, so that the kernels come from cache.
    """
    RADIUS: tl.constexpr = K // 2
    PIXELS: tl.constexpr = TILE_Y * TILE_X
    program = tl.program_id(0)
    block = program % channel_blocks
    program = program // channel_blocks
    group = program % groups
    program = program // groups
    phase_x = program % phase_columns
    program = program // phase_columns
    phase_y = program % phase_rows
    program = program // phase_rows
    tile_x = program % tile_columns
    program = program // tile_columns
    tile_y = program % tile_rows
    batch = (program // tile_rows).to(tl.int64)

    lane = tl.arange(0, PIXELS)
    rows = (tile_y * TILE_Y + lane // TILE_X).to(tl.int64)
    columns = tl.multiple_of((tile_x * TILE_X + lane % TILE_X).to(tl.int64), 1)
    inside = (rows < height) & (columns < width)
    in_group = block * CHANNELS + tl.arange(0, CHANNELS)
    channel_ok = in_group < channels
    channel = group.to(tl.int64) * channels + in_group

    if FACTOR_Y > 0:
        y0 = rows * FACTOR_Y
        y_end = y0 + FACTOR_Y
    else:
        y0 = (rows * out_height + (height - 1)) // height
        y_end = ((rows + 1) * out_height + (height - 1)) // height
    if FACTOR_X > 0:
        x0 = columns * FACTOR_X
        x_end = x0 + FACTOR_X
    else:
        x0 = (columns * out_width + (width - 1)) // width
        x_end = ((columns + 1) * out_width + (width - 1)) // width
    y0 = y0 + 2 * phase_y
    if ROW_WISE:
        x0 = tl.max_contiguous(tl.multiple_of(x0, 1), 2)
    x0 = x0 + 2 * phase_x
    ok00 = inside & (y0 < y_end) & (x0 < x_end)
    ok01 = inside & (y0 < y_end) & (x0 + 1 < x_end)
    ok10 = inside & (y0 + 1 < y_end) & (x0 < x_end)
    ok11 = inside & (y0 + 1 < y_end) & (x0 + 1 < x_end)

    kernels00 = kernels + batch * kernels_b + y0 * kernels_y + x0 * kernels_x
    kernels01 = kernels00 + kernels_x
    kernels10 = kernels00 + kernels_y
    kernels11 = kernels10 + kernels_x
    tap = group.to(tl.int64) * (K * K) * kernels_c

    if SOFTMAX:
        taps = tl.arange(0, TAPS)
        tap_ok = (taps < K * K)[:, None]
        tap_at = tap + taps.to(tl.int64)[:, None] * kernels_c
        logits00 = tl.load(kernels00[None, :] + tap_at, mask=ok00[None, :] & tap_ok, other=0.0).to(tl.float32)
        logits01 = tl.load(kernels01[None, :] + tap_at, mask=ok01[None, :] & tap_ok, other=0.0).to(tl.float32)
        logits10 = tl.load(kernels10[None, :] + tap_at, mask=ok10[None, :] & tap_ok, other=0.0).to(tl.float32)
        logits11 = tl.load(kernels11[None, :] + tap_at, mask=ok11[None, :] & tap_ok, other=0.0).to(tl.float32)
        logits00 = tl.where(tap_ok, logits00, float("-inf"))
        logits01 = tl.where(tap_ok, logits01, float("-inf"))
        logits10 = tl.where(tap_ok, logits10, float("-inf"))
        logits11 = tl.where(tap_ok, logits11, float("-inf"))
        top00 = tl.reduce(logits00, 0, _elementwise_max)
        top01 = tl.reduce(logits01, 0, _elementwise_max)
        top10 = tl.reduce(logits10, 0, _elementwise_max)
        top11 = tl.reduce(logits11, 0, _elementwise_max)
        scale00 = 1.0 / tl.reduce(tl.exp(logits00 - top00[None, :]), 0, _sum_combine)
        scale01 = 1.0 / tl.reduce(tl.exp(logits01 - top01[None, :]), 0, _sum_combine)
        scale10 = 1.0 / tl.reduce(tl.exp(logits10 - top10[None, :]), 0, _sum_combine)
        scale11 = 1.0 / tl.reduce(tl.exp(logits11 - top11[None, :]), 0, _sum_combine)

    sum00 = tl.full((CHANNELS, PIXELS), 0.0, tl.float32)
    sum01 = tl.full((CHANNELS, PIXELS), 0.0, tl.float32)
    sum10 = tl.full((CHANNELS, PIXELS), 0.0, tl.float32)
    sum11 = tl.full((CHANNELS, PIXELS), 0.0, tl.float32)
    de_map = de + batch * de_b + channel[:, None] * de_c
    for i in range(K):
        source = rows + (i - RADIUS)
        row_ok = inside & (source >= 0) & (source < height)
        de_row = de_map + (source * de_y + columns * de_x)[None, :]
        for j in tl.static_range(K):
            beside = columns + (j - RADIUS)
            ok = row_ok & (beside >= 0) & (beside < width)
            pixel = tl.load(de_row + (j - RADIUS) * de_x, mask=ok[None, :] & channel_ok[:, None], other=0.0)
            pixel = pixel.to(tl.float32)
            weight00 = tl.load(kernels00 + tap, mask=ok00, other=0.0).to(tl.float32)
            weight01 = tl.load(kernels01 + tap, mask=ok01, other=0.0).to(tl.float32)
            weight10 = tl.load(kernels10 + tap, mask=ok10, other=0.0).to(tl.float32)
            weight11 = tl.load(kernels11 + tap, mask=ok11, other=0.0).to(tl.float32)
            if SOFTMAX:
                weight00 = tl.exp(weight00 - top00)
                weight01 = tl.exp(weight01 - top01)
                weight10 = tl.exp(weight10 - top10)
                weight11 = tl.exp(weight11 - top11)
            sum00 += weight00[None, :] * pixel
            sum01 += weight01[None, :] * pixel
            sum10 += weight10[None, :] * pixel
            sum11 += weight11[None, :] * pixel
            tap += kernels_c
    if SOFTMAX:
        sum00 = sum00 * scale00[None, :]
        sum01 = sum01 * scale01[None, :]
        sum10 = sum10 * scale10[None, :]
        sum11 = sum11 * scale11[None, :]

    mask00 = ok00[None, :] & channel_ok[:, None]
    mask01 = ok01[None, :] & channel_ok[:, None]
    mask10 = ok10[None, :] & channel_ok[:, None]
    mask11 = ok11[None, :] & channel_ok[:, None]
    if GATED:
        g = tl.load(gate + batch * gate_b + rows * gate_y + columns * gate_x, mask=inside, other=0.0)
        g = g.to(tl.float32)[None, :]
        en00 = en + batch * en_b + (y0 * en_y + x0 * en_x)[None, :] + channel[:, None] * en_c
        en10 = en00 + en_y
        sum00 = g * tl.load(en00, mask=mask00, other=0.0).to(tl.float32) + (1.0 - g) * sum00
        sum01 = g * tl.load(en00 + en_x, mask=mask01, other=0.0).to(tl.float32) + (1.0 - g) * sum01
        sum10 = g * tl.load(en10, mask=mask10, other=0.0).to(tl.float32) + (1.0 - g) * sum10
        sum11 = g * tl.load(en10 + en_x, mask=mask11, other=0.0).to(tl.float32) + (1.0 - g) * sum11
    out00 = out + batch * out_b + (y0 * out_y + x0 * out_x)[None, :] + channel[:, None] * out_c
    out10 = out00 + out_y
    tl.store(out00, sum00.to(out.dtype.element_ty), mask=mask00)
    tl.store(out00 + out_x, sum01.to(out.dtype.element_ty), mask=mask01)
    tl.store(out10, sum10.to(out.dtype.element_ty), mask=mask10)
    tl.store(out10 + out_x, sum11.to(out.dtype.element_ty), mask=mask11)


@triton.jit
def adjoint_kernel(
    grad,
    kernels,
    out,
    channels,  # of one group
    groups,
    height,
    width,
    out_height,
    out_width,
    grad_b,
    grad_c,
    grad_y,
    grad_x,
    kernels_b,
    kernels_c,
    kernels_y,
    kernels_x,
    out_b,
    out_c,
    out_y,
    out_x,
    channel_blocks,
    tile_rows,
    tile_columns,
    phase_rows,
    phase_columns,
    K: tl.constexpr,
    FACTOR_Y: tl.constexpr,
    FACTOR_X: tl.constexpr,
    TILE_Y: tl.constexpr,
    TILE_X: tl.constexpr,
    CHANNELS: tl.constexpr,
):
    """Gradient of the features, gathered: every low-resolution pixel sums over the output pixels that it was read for.

    A lane owns four pixels below one another (ROWS): an output pixel, once loaded, serves all of them that it saw.
    """
    RADIUS: tl.constexpr = K // 2
    PIXELS: tl.constexpr = TILE_Y * TILE_X
    ROWS: tl.constexpr = 4
    program = tl.program_id(0)
    block = program % channel_blocks
    program = program // channel_blocks
    group = program % groups
    program = program // groups
    tile_x = program % tile_columns
    program = program // tile_columns
    tile_y = program % tile_rows
    batch = (program // tile_rows).to(tl.int64)

    lane = tl.arange(0, PIXELS)
    rows = (tile_y * TILE_Y + lane // TILE_X).to(tl.int64) * ROWS
    columns = tl.multiple_of((tile_x * TILE_X + lane % TILE_X).to(tl.int64), 1)
    in_group = block * CHANNELS + tl.arange(0, CHANNELS)
    channel_ok = in_group < channels
    channel = group.to(tl.int64) * channels + in_group
    grad_map = grad + batch * grad_b + channel[:, None] * grad_c
    tap = tl.cast(kernels_c, tl.int64)
    kernels_map = kernels + batch * kernels_b + group.to(tl.int64) * (K * K) * tap

    sum0 = tl.full((CHANNELS, PIXELS), 0.0, tl.float32)
    sum1 = tl.full((CHANNELS, PIXELS), 0.0, tl.float32)
    sum2 = tl.full((CHANNELS, PIXELS), 0.0, tl.float32)
    sum3 = tl.full((CHANNELS, PIXELS), 0.0, tl.float32)
    for j in range(K):  # our pixel is the tap of this column in the window of the source pixel `beside`
        beside = columns + (RADIUS - j)
        column_ok = (columns < width) & (beside >= 0) & (beside < width)
        if FACTOR_X > 0:
            x_first = beside * FACTOR_X
            x_end = x_first + FACTOR_X
        else:
            x_first = (beside * out_width + (width - 1)) // width
            x_end = ((beside + 1) * out_width + (width - 1)) // width
        for phase_y in range(phase_rows):
            for phase_x in range(phase_columns):
                x = tl.max_contiguous(tl.multiple_of(x_first + phase_x, 1), 2)
                x_ok = column_ok & (x < x_end)
                for s in tl.static_range(ROWS + K - 1):
                    source = rows + (s - RADIUS)
                    if FACTOR_Y > 0:
                        y = source * FACTOR_Y + phase_y
                        ok = x_ok & (source >= 0) & (source < height) & (phase_y < FACTOR_Y)
                    else:
                        y = (source * out_height + (height - 1)) // height + phase_y
                        y_end = ((source + 1) * out_height + (height - 1)) // height
                        ok = x_ok & (source >= 0) & (source < height) & (y < y_end)
                    value = tl.load(
                        grad_map + (y * grad_y + x * grad_x)[None, :],
                        mask=ok[None, :] & channel_ok[:, None],
                        other=0.0,
                    ).to(tl.float32)
                    at = kernels_map + y * kernels_y + x * kernels_x + j * tap
                    # row r of the four is row r - s + K - 1 of the window
                    if s < K:
                        weight = tl.load(at + (K - 1 - s) * K * tap, mask=ok, other=0.0)
                        sum0 += weight.to(tl.float32)[None, :] * value
                    if (s >= 1) and (s < K + 1):
                        weight = tl.load(at + (K - s) * K * tap, mask=ok, other=0.0)
                        sum1 += weight.to(tl.float32)[None, :] * value
                    if (s >= 2) and (s < K + 2):
                        weight = tl.load(at + (K + 1 - s) * K * tap, mask=ok, other=0.0)
                        sum2 += weight.to(tl.float32)[None, :] * value
                    if s >= 3:
                        weight = tl.load(at + (K + 2 - s) * K * tap, mask=ok, other=0.0)
                        sum3 += weight.to(tl.float32)[None, :] * value

    at = out + batch * out_b + (rows * out_y + columns * out_x)[None, :] + channel[:, None] * out_c
    ok = channel_ok[:, None] & (columns < width)[None, :]
    tl.store(at, sum0.to(out.dtype.element_ty), mask=ok & (rows < height)[None, :])
    at += out_y
    tl.store(at, sum1.to(out.dtype.element_ty), mask=ok & (rows + 1 < height)[None, :])
    at += out_y
    tl.store(at, sum2.to(out.dtype.element_ty), mask=ok & (rows + 2 < height)[None, :])
    at += out_y
    tl.store(at, sum3.to(out.dtype.element_ty), mask=ok & (rows + 3 < height)[None, :])


@triton.jit
def similarity_kernel(
    query,
    key,
    out,
    channels,  # of one group
    groups,
    height,
    width,
    out_height,
    out_width,
    query_b,
    query_c,
    query_y,
    query_x,
    key_b,
    key_c,
    key_y,
    key_x,
    out_b,
    out_c,
    out_y,
    out_x,
    phase_rows,
    phase_columns,
    tile_rows,
    tile_columns,
    K: tl.constexpr,
    TAPS: tl.constexpr,
    FACTOR_Y: tl.constexpr,
    FACTOR_X: tl.constexpr,
    BY_TAPS: tl.constexpr,
    ONE_BLOCK: tl.constexpr,
    TILE_Y: tl.constexpr,
    TILE_X: tl.constexpr,
    CHANNELS: tl.constexpr,
):
    """Inner products of four output pixels with the window of their source pixel, over the channels of one group.

    BY_TAPS is the way for NCHW: lanes along a row of pixels, all K² sums in registers, one channel after the other.
    The other way is for channels_last: lanes along the channels, reduced once for each tap; where the whole group fits
    in CHANNELS (ONE_BLOCK) the four output pixels are read only once.
    """
    RADIUS: tl.constexpr = K // 2
    PIXELS: tl.constexpr = TILE_Y * TILE_X
    program = tl.program_id(0)
    group = program % groups
    program = program // groups
    phase_x = program % phase_columns
    program = program // phase_columns
    phase_y = program % phase_rows
    program = program // phase_rows
    tile_x = program % tile_columns
    program = program // tile_columns
    tile_y = program % tile_rows
    batch = (program // tile_rows).to(tl.int64)

    lane = tl.arange(0, PIXELS)
    rows = (tile_y * TILE_Y + lane // TILE_X).to(tl.int64)
    columns = tl.multiple_of((tile_x * TILE_X + lane % TILE_X).to(tl.int64), 1)
    inside = (rows < height) & (columns < width)
    if FACTOR_Y > 0:
        y0 = rows * FACTOR_Y
        y_end = y0 + FACTOR_Y
    else:
        y0 = (rows * out_height + (height - 1)) // height
        y_end = ((rows + 1) * out_height + (height - 1)) // height
    if FACTOR_X > 0:
        x0 = columns * FACTOR_X
        x_end = x0 + FACTOR_X
    else:
        x0 = (columns * out_width + (width - 1)) // width
        x_end = ((columns + 1) * out_width + (width - 1)) // width
    y0 = y0 + 2 * phase_y
    if BY_TAPS:
        x0 = tl.max_contiguous(tl.multiple_of(x0, 1), 2)
    x0 = x0 + 2 * phase_x
    ok00 = inside & (y0 < y_end) & (x0 < x_end)
    ok01 = inside & (y0 < y_end) & (x0 + 1 < x_end)
    ok10 = inside & (y0 + 1 < y_end) & (x0 < x_end)
    ok11 = inside & (y0 + 1 < y_end) & (x0 + 1 < x_end)
    first = group.to(tl.int64) * channels
    query00 = query + batch * query_b + first * query_c + y0 * query_y + x0 * query_x
    query01 = query00 + query_x
    query10 = query00 + query_y
    query11 = query10 + query_x
    key_map = key + batch * key_b + first * key_c
    tap = group.to(tl.int64) * (K * K) * out_c
    out00 = out + batch * out_b + y0 * out_y + x0 * out_x
    out01 = out00 + out_x
    out10 = out00 + out_y
    out11 = out10 + out_x

    if BY_TAPS:
        taps = tl.arange(0, TAPS)
        source = rows[None, :] + (taps // K - RADIUS)[:, None]
        beside = columns[None, :] + (taps % K - RADIUS)[:, None]
        tap_ok = (taps < K * K)[:, None]
        key_ok = inside[None, :] & tap_ok & (source >= 0) & (source < height) & (beside >= 0) & (beside < width)
        key_at = key_map + source * key_y + beside * key_x
        sums00 = tl.full((TAPS, PIXELS), 0.0, tl.float32)
        sums01 = tl.full((TAPS, PIXELS), 0.0, tl.float32)
        sums10 = tl.full((TAPS, PIXELS), 0.0, tl.float32)
        sums11 = tl.full((TAPS, PIXELS), 0.0, tl.float32)
        for _ in range(channels):
            window = tl.load(key_at, mask=key_ok, other=0.0).to(tl.float32)
            sums00 += tl.load(query00, mask=ok00, other=0.0).to(tl.float32)[None, :] * window
            sums01 += tl.load(query01, mask=ok01, other=0.0).to(tl.float32)[None, :] * window
            sums10 += tl.load(query10, mask=ok10, other=0.0).to(tl.float32)[None, :] * window
            sums11 += tl.load(query11, mask=ok11, other=0.0).to(tl.float32)[None, :] * window
            key_at += key_c
            query00 += query_c
            query01 += query_c
            query10 += query_c
            query11 += query_c
        tap_at = tap + taps.to(tl.int64)[:, None] * out_c
        tl.store(out00[None, :] + tap_at, sums00.to(out.dtype.element_ty), mask=ok00[None, :] & tap_ok)
        tl.store(out01[None, :] + tap_at, sums01.to(out.dtype.element_ty), mask=ok01[None, :] & tap_ok)
        tl.store(out10[None, :] + tap_at, sums10.to(out.dtype.element_ty), mask=ok10[None, :] & tap_ok)
        tl.store(out11[None, :] + tap_at, sums11.to(out.dtype.element_ty), mask=ok11[None, :] & tap_ok)
    else:
        lanes = tl.arange(0, CHANNELS)
        if ONE_BLOCK:
            channel_ok = (lanes < channels)[:, None]
            at = lanes.to(tl.int64)[:, None] * query_c
            value00 = tl.load(query00[None, :] + at, mask=ok00[None, :] & channel_ok, other=0.0).to(tl.float32)
            value01 = tl.load(query01[None, :] + at, mask=ok01[None, :] & channel_ok, other=0.0).to(tl.float32)
            value10 = tl.load(query10[None, :] + at, mask=ok10[None, :] & channel_ok, other=0.0).to(tl.float32)
            value11 = tl.load(query11[None, :] + at, mask=ok11[None, :] & channel_ok, other=0.0).to(tl.float32)
        for i in range(K):
            source = rows + (i - RADIUS)
            row_ok = inside & (source >= 0) & (source < height)
            for j in tl.static_range(K):
                beside = columns + (j - RADIUS)
                ok = row_ok & (beside >= 0) & (beside < width)
                key_at = key_map + (source * key_y + beside * key_x)
                if ONE_BLOCK:
                    window = tl.load(
                        key_at[None, :] + lanes.to(tl.int64)[:, None] * key_c,
                        mask=ok[None, :] & channel_ok,
                        other=0.0,
                    ).to(tl.float32)
                    sum00 = tl.reduce(value00 * window, 0, _sum_combine)
                    sum01 = tl.reduce(value01 * window, 0, _sum_combine)
                    sum10 = tl.reduce(value10 * window, 0, _sum_combine)
                    sum11 = tl.reduce(value11 * window, 0, _sum_combine)
                else:
                    total00 = tl.full((CHANNELS, PIXELS), 0.0, tl.float32)
                    total01 = tl.full((CHANNELS, PIXELS), 0.0, tl.float32)
                    total10 = tl.full((CHANNELS, PIXELS), 0.0, tl.float32)
                    total11 = tl.full((CHANNELS, PIXELS), 0.0, tl.float32)
                    for start in range(0, channels, CHANNELS):
                        channel_ok = ((start + lanes) < channels)[:, None]
                        channel = (start + lanes).to(tl.int64)[:, None]
                        at = channel * query_c
                        window = tl.load(
                            key_at[None, :] + channel * key_c, mask=ok[None, :] & channel_ok, other=0.0
                        ).to(tl.float32)
                        value = tl.load(query00[None, :] + at, mask=ok00[None, :] & channel_ok, other=0.0)
                        total00 += value.to(tl.float32) * window
                        value = tl.load(query01[None, :] + at, mask=ok01[None, :] & channel_ok, other=0.0)
                        total01 += value.to(tl.float32) * window
                        value = tl.load(query10[None, :] + at, mask=ok10[None, :] & channel_ok, other=0.0)
                        total10 += value.to(tl.float32) * window
                        value = tl.load(query11[None, :] + at, mask=ok11[None, :] & channel_ok, other=0.0)
                        total11 += value.to(tl.float32) * window
                    sum00 = tl.reduce(total00, 0, _sum_combine)
                    sum01 = tl.reduce(total01, 0, _sum_combine)
                    sum10 = tl.reduce(total10, 0, _sum_combine)
                    sum11 = tl.reduce(total11, 0, _sum_combine)
                tl.store(out00 + tap, sum00.to(out.dtype.element_ty), mask=ok00)
                tl.store(out01 + tap, sum01.to(out.dtype.element_ty), mask=ok01)
                tl.store(out10 + tap, sum10.to(out.dtype.element_ty), mask=ok10)
                tl.store(out11 + tap, sum11.to(out.dtype.element_ty), mask=ok11)
                tap += out_c


@triton.jit
def softmax_backward_kernel(
    logits,
    similarity,
    gate,
    d_logits,
    mixed,
    groups,
    height,
    width,
    out_height,
    out_width,
    logits_b,
    logits_c,
    logits_y,
    logits_x,
    similarity_b,
    similarity_c,
    similarity_y,
    similarity_x,
    gate_b,
    gate_y,
    gate_x,
    d_logits_b,
    d_logits_c,
    d_logits_y,
    d_logits_x,
    tile_rows,
    tile_columns,
    K: tl.constexpr,
    TAPS: tl.constexpr,
    GATED: tl.constexpr,
    TILE_Y: tl.constexpr,
    TILE_X: tl.constexpr,
):
    """From s_t (`similarity`, fp32) to the gradient of the logits; (1 - g)·kernels takes the place of s_t.

    k = softmax(logits); d_logits_t = (1 - g)·k_t·(s_t - Σ k·s); mixed = Σ over taps and groups of k·s, `[B, H, W]`: the
    inner product of the output's gradient and the reassembled map. Tiles are of output pixels here.
    """
    PIXELS: tl.constexpr = TILE_Y * TILE_X
    program = tl.program_id(0)
    tile_x = program % tile_columns
    program = program // tile_columns
    tile_y = program % tile_rows
    batch = (program // tile_rows).to(tl.int64)
    lane = tl.arange(0, PIXELS)
    rows = (tile_y * TILE_Y + lane // TILE_X).to(tl.int64)
    columns = tl.multiple_of((tile_x * TILE_X + lane % TILE_X).to(tl.int64), 1)
    inside = (rows < out_height) & (columns < out_width)
    taps = tl.arange(0, TAPS)
    tap_ok = (taps < K * K)[:, None]
    ok = inside[None, :] & tap_ok
    tap = taps.to(tl.int64)[:, None]
    logits_at = logits + batch * logits_b + (rows * logits_y + columns * logits_x)[None, :] + tap * logits_c
    similarity_at = (
        similarity + batch * similarity_b + (rows * similarity_y + columns * similarity_x)[None, :] + tap * similarity_c
    )
    d_logits_at = d_logits + batch * d_logits_b + (rows * d_logits_y + columns * d_logits_x)[None, :] + tap * d_logits_c
    let_through = tl.full((PIXELS,), 1.0, tl.float32)
    if GATED:
        source = (rows * height) // out_height
        beside = (columns * width) // out_width
        g = tl.load(gate + batch * gate_b + source * gate_y + beside * gate_x, mask=inside, other=0.0)
        let_through = 1.0 - g.to(tl.float32)
    total = tl.full((PIXELS,), 0.0, tl.float32)
    for _ in range(groups):
        value = tl.load(logits_at, mask=ok, other=0.0).to(tl.float32)
        s = tl.load(similarity_at, mask=ok, other=0.0)
        value = tl.where(tap_ok, value, float("-inf"))
        k = tl.exp(value - tl.reduce(value, 0, _elementwise_max)[None, :])
        k = k / tl.reduce(k, 0, _sum_combine)[None, :]
        mean = tl.reduce(k * s, 0, _sum_combine)
        k = k * let_through[None, :]
        tl.store(d_logits_at, (k * (s - mean[None, :])).to(d_logits.dtype.element_ty), mask=ok)
        tl.store(similarity_at, k, mask=ok)
        total += mean
        logits_at += (K * K) * tl.cast(logits_c, tl.int64)
        similarity_at += (K * K) * tl.cast(similarity_c, tl.int64)
        d_logits_at += (K * K) * tl.cast(d_logits_c, tl.int64)
    if GATED:
        tl.store(mixed + (batch * out_height + rows) * out_width + columns, total, mask=inside)


@triton.jit
def gate_backward_kernel(
    grad,
    en,
    gate,
    mixed,
    d_en,
    d_gate,
    channels,
    height,
    width,
    out_height,
    out_width,
    grad_b,
    grad_c,
    grad_y,
    grad_x,
    en_b,
    en_c,
    en_y,
    en_x,
    gate_b,
    gate_y,
    gate_x,
    d_en_b,
    d_en_c,
    d_en_y,
    d_en_x,
    tile_rows,
    tile_columns,
    phase_rows,
    phase_columns,
    FACTOR_Y: tl.constexpr,
    FACTOR_X: tl.constexpr,
    TILE_Y: tl.constexpr,
    TILE_X: tl.constexpr,
    CHANNELS: tl.constexpr,
):
    """d_en = g·grad; d_gate = the sum, over the output pixels of a source pixel, of Σ_c grad·en - mixed."""
    PIXELS: tl.constexpr = TILE_Y * TILE_X
    program = tl.program_id(0)
    tile_x = program % tile_columns
    program = program // tile_columns
    tile_y = program % tile_rows
    batch = (program // tile_rows).to(tl.int64)
    lane = tl.arange(0, PIXELS)
    rows = (tile_y * TILE_Y + lane // TILE_X).to(tl.int64)
    columns = tl.multiple_of((tile_x * TILE_X + lane % TILE_X).to(tl.int64), 1)
    inside = (rows < height) & (columns < width)
    if FACTOR_Y > 0:
        y0 = rows * FACTOR_Y
        y_end = y0 + FACTOR_Y
    else:
        y0 = (rows * out_height + (height - 1)) // height
        y_end = ((rows + 1) * out_height + (height - 1)) // height
    if FACTOR_X > 0:
        x0 = columns * FACTOR_X
        x_end = x0 + FACTOR_X
    else:
        x0 = (columns * out_width + (width - 1)) // width
        x_end = ((columns + 1) * out_width + (width - 1)) // width
    g = tl.load(gate + batch * gate_b + rows * gate_y + columns * gate_x, mask=inside, other=0.0)
    g = g.to(tl.float32)[None, :]
    lanes = tl.arange(0, CHANNELS)
    product = tl.full((CHANNELS, PIXELS), 0.0, tl.float32)
    through = tl.full((PIXELS,), 0.0, tl.float32)
    for phase_y in range(phase_rows):
        for phase_x in range(phase_columns):
            y = y0 + phase_y
            x = tl.max_contiguous(tl.multiple_of(x0 + phase_x, 1), 2)
            ok = inside & (y < y_end) & (x < x_end)
            through += tl.load(mixed + (batch * out_height + y) * out_width + x, mask=ok, other=0.0)
            grad_at = grad + batch * grad_b + (y * grad_y + x * grad_x)[None, :]
            en_at = en + batch * en_b + (y * en_y + x * en_x)[None, :]
            d_en_at = d_en + batch * d_en_b + (y * d_en_y + x * d_en_x)[None, :]
            for start in range(0, channels, CHANNELS):
                channel = (start + lanes).to(tl.int64)[:, None]
                mask = ok[None, :] & ((start + lanes) < channels)[:, None]
                slope = tl.load(grad_at + channel * grad_c, mask=mask, other=0.0).to(tl.float32)
                product += slope * tl.load(en_at + channel * en_c, mask=mask, other=0.0).to(tl.float32)
                tl.store(d_en_at + channel * d_en_c, (g * slope).to(d_en.dtype.element_ty), mask=mask)
    total = tl.reduce(product, 0, _sum_combine) - through
    tl.store(d_gate + (batch * height + rows) * width + columns, total.to(d_gate.dtype.element_ty), mask=inside)
