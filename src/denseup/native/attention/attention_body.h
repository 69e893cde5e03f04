/* The kernels for one instruction set.
 *
 * A tile is what some output rows of one source row have in common with some neighbouring source columns: pixels whose
 * windows begin in the same row, and in one of `span` columns. The windows' union is packed once for a head; then, for a
 * chunk of pixels after the other, logits, weights and sums are products of matrices, in which the taps that are not of
 * a pixel's own window have no weight. Where many output pixels share one window, the span is 1 and there are none.
 *
 * What has no weight is multiplied by zero, and would make NaN of what is not finite: a tile that holds such values is
 * worked on window by window.
 */
#include "common/product.h"

/* As `multiply` of product.h, with tiles for few rows too. */
INLINE void NAME(multiply_few)(long rows, long lanes, NAME(product) whole) {
#define TILES_OF(ROWS, VECTORS)                         \
    for (; i + ROWS <= rows; i += ROWS) {               \
        NAME(product) p = whole;                        \
        p.a += i * p.a_row;                             \
        p.b += lane;                                    \
        if (p.start) p.start += i * p.start_row + lane; \
        p.to += i * p.to_row + lane;                    \
        NAME(multiply_tile)(ROWS, VECTORS, 0, p);       \
    }
#define COLUMNS(VECTORS, TILES)                               \
    for (; lane + VECTORS * V <= lanes; lane += VECTORS * V) { \
        long i = 0;                                           \
        TILES                                                 \
    }
    long lane = 0;
#if V == 16
    COLUMNS(4, TILES_OF(6, 4) TILES_OF(3, 4) TILES_OF(1, 4))
#endif
    COLUMNS(2, TILES_OF(6, 2) TILES_OF(3, 2) TILES_OF(1, 2))
    COLUMNS(1, TILES_OF(12, 1) TILES_OF(6, 1) TILES_OF(1, 1))
#undef COLUMNS
#undef TILES_OF
}

/* Whole vectors that hold `count` floats, in floats. */
INLINE long NAME(whole)(long count) { return (count + V - 1) / V * V; }

/* The pixels of a tile: output rows and columns, the last not included. */
typedef struct {
    long image, first_row, last_row, first_column, last_column;
} NAME(pixels);

INLINE float NAME(widened)(unsigned short half) {
    union {
        unsigned bits;
        float number;
    } x = {(unsigned)half << 16};
    return x.number;
}

INLINE vf NAME(load_element)(const void *at, long index, int bfloat16) {
    return bfloat16 ? NAME(load_bfloat16)((const unsigned short *)at + index) : NAME(load_float)((const float *)at + index);
}

INLINE float NAME(element)(const void *at, long index, int bfloat16) {
    return bfloat16 ? NAME(widened)(((const unsigned short *)at)[index]) : ((const float *)at)[index];
}

INLINE void NAME(store_element)(void *at, long index, float x, int bfloat16) {
    if (!bfloat16) {
        ((float *)at)[index] = x;
        return;
    }
    unsigned short halves[V];
    NAME(store_bfloat16)(halves, (vf){0} + x);
    ((unsigned short *)at)[index] = halves[0];
}

/* `count` pixels from the n-th on, `channels` of each from `channel` on, as rows of floats `stride` apart; zeros beyond.
 * Whether all are finite. */
INLINE int NAME(pack_pixels_of)(
    const attention_map *map, const NAME(pixels) *tile, long n, long count, long channel, long channels, float *to,
    long stride, int bfloat16
) {
    long columns = tile->last_column - tile->first_column;
    vf nothing = {0};
    for (long p = 0; p < count;) {
        long row = tile->first_row + (n + p) / columns, skipped = (n + p) % columns;
        long some = columns - skipped < count - p ? columns - skipped : count - p;
        long from = tile->image * map->image + row * map->row + (tile->first_column + skipped) * map->pixel +
                    channel * map->channel;
        float *rows = to + p * stride;
        p += some;
        if (map->channel == 1) {
            for (long x = 0; x < some; x++, from += map->pixel, rows += stride) {
                long c = 0;
                for (; c + V <= channels; c += V) {
                    vf v = NAME(load_element)(map->at, from + c, bfloat16);
                    nothing += 0.0f * v;
                    NAME(store_float)(rows + c, v);
                }
                for (; c < channels; c++) {
                    rows[c] = NAME(element)(map->at, from + c, bfloat16);
                    nothing[0] += 0.0f * rows[c];
                }
                for (; c < stride; c++) rows[c] = 0.0f;
            }
            continue;
        }
        for (long c = 0; c < stride; c++)
            for (long x = 0; x < some; x++) {
                float v = c < channels ? NAME(element)(map->at, from + c * map->channel + x * map->pixel, bfloat16) : 0.0f;
                rows[x * stride + c] = v;
                nothing[0] += 0.0f * v;
            }
    }
    return NAME(sum)(nothing) == 0.0f;
}

static int NAME(pack_pixels)(
    const attention_map *map, const NAME(pixels) *tile, long n, long count, long channel, long channels, float *to,
    long stride, int bfloat16
) {
    if (bfloat16) return NAME(pack_pixels_of)(map, tile, n, count, channel, channels, to, stride, 1);
    return NAME(pack_pixels_of)(map, tile, n, count, channel, channels, to, stride, 0);
}

/* The inverse. */
INLINE void NAME(store_pixels_of)(
    const attention_map *map, const NAME(pixels) *tile, long n, long count, long channel, long channels, const float *rows,
    long stride, int stream, int bfloat16
) {
    long columns = tile->last_column - tile->first_column;
    for (long p = 0; p < count;) {
        long row = tile->first_row + (n + p) / columns, skipped = (n + p) % columns;
        long some = columns - skipped < count - p ? columns - skipped : count - p;
        long at = tile->image * map->image + row * map->row + (tile->first_column + skipped) * map->pixel +
                  channel * map->channel;
        const float *from = rows + p * stride;
        p += some;
        if (map->channel == 1) {
            for (long x = 0; x < some; x++, at += map->pixel, from += stride) {
                long c = 0;
                for (; c + V <= channels; c += V) {
                    vf v = NAME(load_float)(from + c);
                    if (bfloat16) NAME(store_bfloat16)((unsigned short *)map->at + at + c, v);
                    else if (stream) NAME(stream)((float *)map->at + at + c, v);
                    else NAME(store_float)((float *)map->at + at + c, v);
                }
                for (; c < channels; c++) NAME(store_element)(map->at, at + c, from[c], bfloat16);
            }
            continue;
        }
        for (long c = 0; c < channels; c++)
            for (long x = 0; x < some; x++)
                NAME(store_element)(map->at, at + c * map->channel + x * map->pixel, from[x * stride + c], bfloat16);
    }
}

static void NAME(store_pixels)(
    const attention_map *map, const NAME(pixels) *tile, long n, long count, long channel, long channels, const float *rows,
    long stride, int stream, int bfloat16
) {
    if (bfloat16) NAME(store_pixels_of)(map, tile, n, count, channel, channels, rows, stride, 0, 1);
    else if (stream) NAME(store_pixels_of)(map, tile, n, count, channel, channels, rows, stride, 1, 0);
    else NAME(store_pixels_of)(map, tile, n, count, channel, channels, rows, stride, 0, 0);
}

/* What a thread works with. A window's union has `taps` pixels, rows · columns; `lanes` holds them in whole vectors. */
typedef struct {
    long rows, columns, taps, lanes, span;
    long channels, value_channels; /* of a head, */
    long key_row, value_row;       /* and in whole vectors */
    float *key, *value;            /* the window: a tap's channels, */
    float *key_lanes, *value_lanes; /* and a channel's taps */
    float *query, *grad, *sums, *weights, *slopes;
    float *grad_key, *grad_value;
    int *masks; /* [span, lanes]: the taps of a window that begins in this column of the union */
    long pixels; /* of each column of windows, that it was made for */
    void *memory; /* NULL before that */
} NAME(bench);

/* How many columns windows of a tile may begin in, where each window has `pixels` output pixels. */
INLINE long NAME(best_span)(const attention_arguments *a, long pixels) {
    long best = 1;
    float least = 0;
    for (long span = 1; span <= 12 && span <= a->shape.width - a->window_columns + 1; span++) {
        long count = span * pixels < CHUNK ? span * pixels : CHUNK;
        float cost = (float)(a->window_columns + span - 1) * (1.0f + (float)PACKING / (float)count);
        cost *= (float)((count + 2) / 3 * 3) / (float)count;
        if (span == 1 || cost < least) {
            best = span;
            least = cost;
        }
    }
    return best;
}

/* Makes `b` one for tiles of that many pixels in a column of windows, if it is another yet. 0, and the failure noted, if
 * memory ran out. */
static int NAME(open_bench)(NAME(bench) *b, attention_arguments *a, long pixels, int backward) {
    const attention_geometry *s = &a->shape;
    if (b->memory && b->pixels == pixels) return 1;
    free(b->memory);
    b->pixels = pixels;
    b->span = NAME(best_span)(a, pixels);
    b->rows = a->window_rows;
    b->columns = a->window_columns + b->span - 1;
    b->taps = b->rows * b->columns;
    b->lanes = NAME(whole)(b->taps);
    b->channels = s->channels / s->heads;
    b->value_channels = s->value_channels / s->heads;
    b->key_row = NAME(whole)(b->channels);
    b->value_row = NAME(whole)(b->value_channels);
    long sizes[] = {
        backward ? b->taps * b->key_row : 0,
        b->taps * b->value_row,
        b->channels * b->lanes + NAME(whole)(b->columns),
        backward ? b->value_channels * b->lanes + NAME(whole)(b->columns) : 0,
        CHUNK * b->key_row,
        backward ? CHUNK * b->value_row : 0,
        CHUNK * (b->value_row > b->key_row ? b->value_row : b->key_row),
        CHUNK * b->lanes,
        backward ? CHUNK * b->lanes : 0,
        backward ? b->taps * b->key_row : 0,
        backward ? b->taps * b->value_row : 0,
        b->span * b->lanes,
    };
    float *masks, **places[] = {&b->key,  &b->value,   &b->key_lanes, &b->value_lanes, &b->query,      &b->grad,
                                &b->sums, &b->weights, &b->slopes,    &b->grad_key,    &b->grad_value, &masks};
    long count = sizeof sizes / sizeof *sizes, total = LANES;
    for (long k = 0; k < count; k++) total += (sizes[k] + LANES - 1) / LANES * LANES;
    b->memory = malloc((size_t)total * sizeof(float));
    if (!b->memory) {
        a->failed = 1;
        return 0;
    }
    float *at = (float *)(((size_t)b->memory + 63) / 64 * 64);
    for (long k = 0; k < count; k++) {
        *places[k] = at;
        at += (sizes[k] + LANES - 1) / LANES * LANES;
    }
    b->masks = (int *)masks;
    for (long o = 0; o < b->span; o++)
        for (long t = 0; t < b->lanes; t++) {
            long column = t % b->columns - o;
            b->masks[o * b->lanes + t] = t < b->taps && column >= 0 && column < a->window_columns ? -1 : 0;
        }
    return 1;
}

/* A tile, and its union: where it begins, and how many of its columns are used. */
typedef struct {
    NAME(pixels) of;
    long last; /* source columns up to this one, which is not included */
    long top, left, used;
} NAME(tile);

/* The union whose first tap lies at row `top`, column `left` of an image, or its first `used` columns; zeros for the others,
 * and beyond the map. Rows of channels. Whether all are finite. */
static int NAME(pack_window)(
    const attention_arguments *a, const NAME(bench) *b, const NAME(tile) *t, const float *map, long all, long channel,
    long channels, float *to, long row
) {
    const attention_geometry *s = &a->shape;
    vf nothing = {0};
    for (long i = 0; i < b->rows; i++)
        for (long j = 0; j < b->columns; j++, to += row) {
            if (j >= t->used) {
                __builtin_memset(to, 0, row * sizeof(float));
                continue;
            }
            const float *from = map + ((t->of.image * s->height + t->top + i) * s->width + t->left + j) * all + channel;
            long c = 0;
            for (; c + V <= channels; c += V) {
                vf v = NAME(load_float)(from + c);
                nothing += 0.0f * v;
                NAME(store_float)(to + c, v);
            }
            for (; c < channels; c++) {
                to[c] = from[c];
                nothing[0] += 0.0f * from[c];
            }
            for (; c < row; c++) to[c] = 0.0f;
        }
    return NAME(sum)(nothing) == 0.0f;
}

/* The same union, channel by channel: its taps in lanes. What lies beyond the taps is anything. */
static void NAME(pack_lanes)(
    const attention_arguments *a, const NAME(bench) *b, const NAME(tile) *t, const float *planes, long all, long channel,
    long channels, float *to
) {
    const attention_geometry *s = &a->shape;
    for (long c = 0; c < channels; c++, to += b->lanes)
        for (long i = 0; i < b->rows; i++) {
            const float *from =
                planes + ((t->of.image * all + channel + c) * s->height + t->top + i) * s->width + t->left;
            for (long j = 0; j < b->columns; j += V) NAME(store_float)(to + i * b->columns + j, NAME(load_float)(from + j));
        }
}

/* Softmax of the lanes of one pixel that its mask has; 0 elsewhere. */
INLINE void NAME(softmax_masked)(float *x, const int *mask, long lanes, float scale) {
    const vf lowest = (vf){0} - __builtin_inff();
    vf top = lowest, all = {0};
    for (long k = 0; k < lanes; k += V) {
        vi there;
        __builtin_memcpy(&there, mask + k, sizeof there);
        vf v = (vf)(((vi)(NAME(load_float)(x + k) * scale) & there) | ((vi)lowest & ~there));
        top = NAME(maximum)(top, v);
        NAME(store_float)(x + k, v);
    }
    float shift = NAME(largest)(top);
    for (long k = 0; k < lanes; k += V) {
        vf e = NAME(exponential)(NAME(load_float)(x + k) - shift);
        NAME(store_float)(x + k, e);
        all += e;
    }
    float factor = 1.0f / NAME(sum)(all);
    for (long k = 0; k < lanes; k += V) {
        vi there;
        __builtin_memcpy(&there, mask + k, sizeof there);
        NAME(store_float)(x + k, (vf)((vi)(NAME(load_float)(x + k) * factor) & there));
    }
}

/* From the gradient of the weights to that of the products of query and key, in place; 0 outside the mask. */
INLINE void NAME(softmax_slopes)(const float *weights, float *x, const int *mask, long lanes, float scale) {
    vf all = {0};
    for (long k = 0; k < lanes; k += V) {
        vi there;
        __builtin_memcpy(&there, mask + k, sizeof there);
        vf v = (vf)((vi)NAME(load_float)(x + k) & there);
        NAME(store_float)(x + k, v);
        all += v * NAME(load_float)(weights + k);
    }
    float mean = NAME(sum)(all);
    for (long k = 0; k < lanes; k += V) {
        vi there;
        __builtin_memcpy(&there, mask + k, sizeof there);
        vf v = scale * NAME(load_float)(weights + k) * (NAME(load_float)(x + k) - mean);
        NAME(store_float)(x + k, (vf)((vi)v & there));
    }
}

/* The next tile of the source columns from `first` on, up to `last`: windows that begin in up to `span` columns. */
INLINE NAME(tile) NAME(next_tile)(
    const attention_arguments *a, long image, const long *rows, long top, long first, long last, long span
) {
    const attention_geometry *s = &a->shape;
    NAME(tile) t = {.last = first + 1, .top = top, .left = window_start(first, s->width, s->kernel_size)};
    while (t.last < last && window_start(t.last, s->width, s->kernel_size) < t.left + span) t.last++;
    t.used = window_start(t.last - 1, s->width, s->kernel_size) - t.left + a->window_columns;
    t.of = (NAME(pixels)){
        image, rows[0], rows[1], first_output(first, s->width, s->out_width), first_output(t.last, s->width, s->out_width)};
    return t;
}

/* Where the window of the p-th pixel of a tile begins, from the union's first column on. */
INLINE long NAME(offset)(const attention_arguments *a, const NAME(tile) *t, long p) {
    const attention_geometry *s = &a->shape;
    long column = t->of.first_column + p % (t->of.last_column - t->of.first_column);
    return window_start(column * s->width / s->out_width, s->width, s->kernel_size) - t->left;
}

/* Weights of `count` pixels of a tile from the n-th on, of their packed queries. */
INLINE void NAME(weigh)(const attention_arguments *a, const NAME(bench) *b, const NAME(tile) *t, long n, long count) {
    NAME(product) p = {
        .a = b->query, .a_row = b->key_row, .a_step = 1,
        .b = b->key_lanes, .b_step = b->lanes, .steps = b->channels,
        .to = b->weights, .to_row = b->lanes,
    };
    NAME(multiply_few)(count, b->lanes, p);
    for (long k = 0; k < count; k++) {
        const int *mask = b->masks + (b->span == 1 ? 0 : NAME(offset)(a, t, n + k)) * b->lanes;
        NAME(softmax_masked)(b->weights + k * b->lanes, mask, b->lanes, a->shape.scale);
    }
}

/* One head of a tile; 0, and nothing done, where values that are not finite would get into other windows. */
static int NAME(attend_tile)(const attention_arguments *a, const NAME(bench) *b, const NAME(tile) *t, long head) {
    const attention_geometry *s = &a->shape;
    long all = (t->of.last_row - t->of.first_row) * (t->of.last_column - t->of.first_column);
    long channel = head * b->channels, value_channel = head * b->value_channels;
    int finite = NAME(pack_window)(
        a, b, t, a->value, s->value_channels, value_channel, b->value_channels, b->value, b->value_row
    );
    if (!finite && t->used > a->window_columns) return 0;
    NAME(pack_lanes)(a, b, t, a->key_planes, s->channels, channel, b->channels, b->key_lanes);
    for (long n = 0; n < all; n += CHUNK) {
        long count = all - n < CHUNK ? all - n : CHUNK;
        NAME(pack_pixels)(&a->query, &t->of, n, count, channel, b->channels, b->query, b->key_row, s->bfloat16);
        NAME(weigh)(a, b, t, n, count);
        NAME(product) p = {
            .a = b->weights, .a_row = b->lanes, .a_step = 1,
            .b = b->value, .b_step = b->value_row, .steps = b->taps,
            .to = b->sums, .to_row = b->value_row,
        };
        NAME(multiply_few)(count, b->value_row, p);
        NAME(store_pixels)
        (&a->result, &t->of, n, count, value_channel, b->value_channels, b->sums, b->value_row, a->stream, s->bfloat16);
    }
    return 1;
}

/* Output pixels of a source column in the output rows of `count` source rows. */
INLINE long NAME(pixels_of_column)(const attention_geometry *s, long count) {
    return count * divided_up(s->out_height, s->height) * divided_up(s->out_width, s->width);
}

/* All source columns of some output rows, those of a run of source rows whose windows begin in the same row. */
static void NAME(attend)(void *context, long item) {
    attention_arguments *a = context;
    const attention_geometry *s = &a->shape;
    long runs = runs_of(a), piece = item % a->pieces, top = item / a->pieces % runs, image = item / a->pieces / runs;
    long sources[2] = {start_of_run(a, top), start_of_run(a, top + 1)};
    long start = first_output(sources[0], s->height, s->out_height);
    long count = first_output(sources[1], s->height, s->out_height) - start;
    long rows[2] = {start + piece * count / a->pieces, start + (piece + 1) * count / a->pieces};
    if (rows[0] == rows[1]) return;
    NAME(bench) b = {0};
    if (!NAME(open_bench)(&b, a, NAME(pixels_of_column)(s, sources[1] - sources[0]), 0)) return;
    for (long first = 0, last; first < s->width; first = last) {
        NAME(tile) tile = NAME(next_tile)(a, image, rows, top, first, s->width, b.span);
        last = tile.last;
        for (long head = 0; head < s->heads; head++) {
            if (NAME(attend_tile)(a, &b, &tile, head)) continue;
            for (long x = first; x < last;) {
                NAME(tile) one = NAME(next_tile)(a, image, rows, top, x, last, 1);
                NAME(attend_tile)(a, &b, &one, head);
                x = one.last;
            }
        }
    }
    NAME(streamed)();
    free(b.memory);
}

/* ---- Backward ---- */

/* Adds the gradient of a window to that of a band, whose first row is row `base` of the map. */
static void NAME(add_window)(
    const attention_arguments *a, const NAME(bench) *b, const NAME(tile) *t, long base, const float *from, long row,
    float *band, long all, long channels
) {
    for (long i = 0; i < b->rows; i++)
        for (long j = 0; j < t->used; j++) {
            const float *of_tap = from + (i * b->columns + j) * row;
            float *to = band + ((t->top - base + i) * a->shape.width + t->left + j) * all;
            long c = 0;
            for (; c + V <= channels; c += V) NAME(store_float)(to + c, NAME(load_float)(to + c) + NAME(load_float)(of_tap + c));
            for (; c < channels; c++) to[c] += of_tap[c];
        }
}

/* Whether all pixels of a tile, of which the gradients of a whole union are sums, are finite in one head. */
static int NAME(finite_pixels)(const attention_arguments *a, const NAME(bench) *b, const NAME(tile) *t, long all, long head) {
    int bfloat16 = a->shape.bfloat16, finite = 1;
    for (long n = 0; n < all && finite; n += CHUNK) {
        long count = all - n < CHUNK ? all - n : CHUNK;
        finite = NAME(pack_pixels)(
            &a->query, &t->of, n, count, head * b->channels, b->channels, b->query, b->key_row, bfloat16
        );
        finite &= NAME(pack_pixels)(
            &a->grad, &t->of, n, count, head * b->value_channels, b->value_channels, b->grad, b->value_row, bfloat16
        );
    }
    return finite;
}

/* Gradients of one head of a tile, those of key and value added to their band; 0, and nothing done, where values that are
 * not finite would get into other windows. */
static int NAME(attend_backward_tile)(
    const attention_arguments *a, const NAME(bench) *b, const NAME(tile) *t, long head, long base, float *key_band,
    float *value_band
) {
    const attention_geometry *s = &a->shape;
    long all = (t->of.last_row - t->of.first_row) * (t->of.last_column - t->of.first_column);
    long channel = head * b->channels, value_channel = head * b->value_channels;
    int finite = NAME(pack_window)(a, b, t, a->key, s->channels, channel, b->channels, b->key, b->key_row);
    if (t->used > a->window_columns && (!finite || !NAME(finite_pixels)(a, b, t, all, head))) return 0;
    NAME(pack_lanes)(a, b, t, a->key_planes, s->channels, channel, b->channels, b->key_lanes);
    NAME(pack_lanes)
    (a, b, t, a->value_planes, s->value_channels, value_channel, b->value_channels, b->value_lanes);
    for (long n = 0; n < all; n += CHUNK) {
        long count = all - n < CHUNK ? all - n : CHUNK;
        NAME(pack_pixels)(&a->query, &t->of, n, count, channel, b->channels, b->query, b->key_row, s->bfloat16);
        NAME(pack_pixels)
        (&a->grad, &t->of, n, count, value_channel, b->value_channels, b->grad, b->value_row, s->bfloat16);
        NAME(weigh)(a, b, t, n, count);
        NAME(product) of_weights = {
            .a = b->grad, .a_row = b->value_row, .a_step = 1,
            .b = b->value_lanes, .b_step = b->lanes, .steps = b->value_channels,
            .to = b->slopes, .to_row = b->lanes,
        };
        NAME(multiply_few)(count, b->lanes, of_weights);
        NAME(product) of_value = {
            .a = b->weights, .a_row = 1, .a_step = b->lanes,
            .b = b->grad, .b_step = b->value_row, .steps = count,
            .start = n ? b->grad_value : 0, .start_row = b->value_row,
            .to = b->grad_value, .to_row = b->value_row,
        };
        NAME(multiply_few)(b->taps, b->value_row, of_value);
        for (long k = 0; k < count; k++) {
            const int *mask = b->masks + (b->span == 1 ? 0 : NAME(offset)(a, t, n + k)) * b->lanes;
            NAME(softmax_slopes)(b->weights + k * b->lanes, b->slopes + k * b->lanes, mask, b->lanes, s->scale);
        }
        NAME(product) of_query = {
            .a = b->slopes, .a_row = b->lanes, .a_step = 1,
            .b = b->key, .b_step = b->key_row, .steps = b->taps,
            .to = b->sums, .to_row = b->key_row,
        };
        NAME(multiply_few)(count, b->key_row, of_query);
        NAME(store_pixels)
        (&a->result, &t->of, n, count, channel, b->channels, b->sums, b->key_row, a->stream, s->bfloat16);
        NAME(product) of_key = {
            .a = b->slopes, .a_row = 1, .a_step = b->lanes,
            .b = b->query, .b_step = b->key_row, .steps = count,
            .start = n ? b->grad_key : 0, .start_row = b->key_row,
            .to = b->grad_key, .to_row = b->key_row,
        };
        NAME(multiply_few)(b->taps, b->key_row, of_key);
    }
    NAME(add_window)(a, b, t, base, b->grad_key, b->key_row, key_band + channel, s->channels, b->channels);
    NAME(add_window)
    (a, b, t, base, b->grad_value, b->value_row, value_band + value_channel, s->value_channels, b->value_channels);
    return 1;
}

/* One head of the output rows of a band of source rows. */
static void NAME(attend_backward)(void *context, long item) {
    attention_arguments *a = context;
    const attention_geometry *s = &a->shape;
    long head = item % s->heads, number = item / s->heads, image = number / a->bands, first = number % a->bands;
    first *= a->rows_per_band;
    long last = first + a->rows_per_band < s->height ? first + a->rows_per_band : s->height;
    long base = window_start(first, s->height, s->kernel_size), pixels = rows_of_band(a) * s->width;
    float *key_band = a->key_bands + number * pixels * s->channels;
    float *value_band = a->value_bands + number * pixels * s->value_channels;
    long channels = s->channels / s->heads, value_channels = s->value_channels / s->heads;
    for (long x = 0; x < pixels; x++) {
        __builtin_memset(key_band + x * s->channels + head * channels, 0, channels * sizeof(float));
        __builtin_memset(value_band + x * s->value_channels + head * value_channels, 0, value_channels * sizeof(float));
    }
    NAME(bench) b = {0};
    for (long source = first, next; source < last; source = next) {
        long top = window_start(source, s->height, s->kernel_size);
        next = start_of_run(a, top + 1) < last ? start_of_run(a, top + 1) : last;
        if (!NAME(open_bench)(&b, a, NAME(pixels_of_column)(s, next - source), 1)) return;
        long rows[2] = {first_output(source, s->height, s->out_height), first_output(next, s->height, s->out_height)};
        for (long x = 0, end; x < s->width; x = end) {
            NAME(tile) tile = NAME(next_tile)(a, image, rows, top, x, s->width, b.span);
            end = tile.last;
            if (NAME(attend_backward_tile)(a, &b, &tile, head, base, key_band, value_band)) continue;
            for (long y = x; y < end;) {
                NAME(tile) one = NAME(next_tile)(a, image, rows, top, y, end, 1);
                NAME(attend_backward_tile)(a, &b, &one, head, base, key_band, value_band);
                y = one.last;
            }
        }
    }
    NAME(streamed)();
    free(b.memory);
}

/* A row of the gradients of key and value: the sums of those of all bands that have it. */
INLINE void NAME(add_bands)(
    const attention_arguments *a, long image, long y, const float *bands, long channels, float *to
) {
    const attention_geometry *s = &a->shape;
    long count = s->width * channels, size = rows_of_band(a) * count;
    to += (image * s->height + y) * count;
    __builtin_memset(to, 0, count * sizeof(float));
    for (long k = 0; k < a->bands; k++) {
        long last = (k + 1) * a->rows_per_band < s->height ? (k + 1) * a->rows_per_band : s->height;
        long base = window_start(k * a->rows_per_band, s->height, s->kernel_size);
        if (y < base || y >= window_start(last - 1, s->height, s->kernel_size) + a->window_rows) continue;
        const float *from = bands + (image * a->bands + k) * size + (y - base) * count;
        long c = 0;
        for (; c + V <= count; c += V) NAME(store_float)(to + c, NAME(load_float)(to + c) + NAME(load_float)(from + c));
        for (; c < count; c++) to[c] += from[c];
    }
}

static void NAME(add_all_bands)(void *context, long item) {
    const attention_arguments *a = context;
    long image = item / a->shape.height, y = item % a->shape.height;
    NAME(add_bands)(a, image, y, a->key_bands, a->shape.channels, a->grad_key);
    NAME(add_bands)(a, image, y, a->value_bands, a->shape.value_channels, a->grad_value);
}
