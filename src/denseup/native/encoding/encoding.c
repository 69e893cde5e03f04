/* The 3×3 convolution that makes kernel logits of embedded features, on the CPU for float32: CARAFE's content encoder,
 * and with a second, low-resolution map the semi-shift convolution of FADE (ECCV 2022, eq. 3):
 *
 *     logits = conv(high) + nearest(conv(low)),   the same weights and bias in both
 *
 * Shapes, channels-last: high [B, H, W, C], low [B, h, w, C], logits [B, H, W, O], with C and O at least LANES. Pixel y, x
 * of the high-resolution map belongs to floor(y·h/H), floor(x·w/W) of the low-resolution one.
 */
#include "encoding/encoding.h"

#include "common/instructions.h"
#include "common/parallel.h"

#define BODY "encoding/winograd_body.h"
#include "common/each_isa.h"

typedef struct {
    denseup_task convolve, weigh;
} kernels;

static const kernels tables[] = {
    {convolve_tiles_portable, weigh_tiles_portable},
#if X86
    {convolve_tiles_avx2, weigh_tiles_avx2},
    {convolve_tiles_avx512, weigh_tiles_avx512},
#endif
};

/* Weights w[o, c, i, j] at at[o·output + c·channel + (3i + j)·tap]. */
typedef struct {
    float *at;
    long output, channel, tap;
} weights;

typedef struct {
    long batch, height, width;
    long low_height, low_width; /* 0 without a low-resolution map */
    long channels, outputs;
    int threads;
} geometry;

static map_shape high_shape(const geometry *s) {
    return (map_shape){s->batch, s->height, s->width, s->channels, s->outputs};
}

static map_shape low_shape(const geometry *s) {
    return (map_shape){s->batch, s->low_height, s->low_width, s->channels, s->outputs};
}

/* The shape of the gradient with regard to the map, which is a convolution of the outputs. */
static map_shape turned(map_shape s) { return (map_shape){s.batch, s.height, s.width, s.outputs, s.channels}; }

static long most_channels(const geometry *s) { return s->channels > s->outputs ? s->channels : s->outputs; }

/* ---- Transforms of the weights ---- */

/* One row or column of G w, of three values. */
static void spread(const float *w, long step, float *to, long to_step) {
    float outer = 0.5f * (w[0] + w[2 * step]), inner = 0.5f * w[step];
    to[0] = w[0];
    to[to_step] = outer + inner;
    to[2 * to_step] = outer - inner;
    to[3 * to_step] = w[2 * step];
}

/* One row or column of Gᵀ m, of four values. */
static void gather(const float *m, long step, float *to, long to_step) {
    float sum = 0.5f * (m[step] + m[2 * step]), difference = 0.5f * (m[step] - m[2 * step]);
    to[0] = m[0] + sum;
    to[to_step] = difference;
    to[2 * to_step] = sum + m[3 * step];
}

/* G w Gᵀ: to[16][channels][outputs in lanes]. With `turn` the weights that make the gradient with regard to the map:
 * turned by half a circle, outputs and channels exchanged; `shape` is then turned too. */
static void transform_weights(const weights *w, const map_shape *shape, int turn, float *to) {
    long lanes = in_lanes(shape->outputs), stride = shape->channels * lanes;
    for (long c = 0; c < shape->channels; c++)
        for (long o = 0; o < lanes; o++) {
            float taps[9] = {0}, half[12], whole[16];
            if (o < shape->outputs) {
                const float *from = w->at + (turn ? c : o) * w->output + (turn ? o : c) * w->channel;
                for (int k = 0; k < 9; k++) taps[k] = from[(turn ? 8 - k : k) * w->tap];
            }
            for (int j = 0; j < 3; j++) spread(taps + j, 3, half + j, 3);
            for (int i = 0; i < 4; i++) spread(half + 3 * i, 1, whole + 4 * i, 1);
            for (int p = 0; p < 16; p++) to[p * stride + c * lanes + o] = whole[p];
        }
}

/* Gᵀ m G of the first of the `items` sums, into which the others are added. */
static void transform_sums(float *sums, long items, const map_shape *shape, const weights *to) {
    long lanes = in_lanes(shape->channels), stride = shape->outputs * lanes, size = 16 * stride;
    for (long item = 1; item < items; item++)
        for (long k = 0; k < size; k++) sums[k] += sums[item * size + k];
    for (long o = 0; o < shape->outputs; o++)
        for (long c = 0; c < shape->channels; c++) {
            float m[16], half[12], taps[9];
            for (int p = 0; p < 16; p++) m[p] = sums[p * stride + o * lanes + c];
            for (int j = 0; j < 4; j++) gather(m + j, 4, half + j, 4);
            for (int i = 0; i < 3; i++) gather(half + 4 * i, 1, taps + 3 * i, 1);
            for (int k = 0; k < 9; k++) to->at[o * to->output + c * to->channel + k * to->tap] = taps[k];
        }
}

/* ---- Jobs ---- */

/* Spread a job's tiles over at most `items` items of whole blocks; how many there are. */
static long share(arguments *a, long items, long block) {
    a->tiles = count_tiles(&a->shape);
    a->tiles_per_item = divided_up(divided_up(a->tiles, items), block) * block;
    return divided_up(a->tiles, a->tiles_per_item);
}

static int convolve(arguments *a, int threads) {
    long items = share(a, 4L * threads, TILES);
    denseup_parallel_tiny_as_zero(items, threads, tables[denseup_instruction_set()].convolve, a);
    return a->failed ? -1 : 0;
}

/* How many items a gradient of the weights is shared by: each has sums of its own. */
static long gradient_items(int threads) { return 2L * threads; }

static long weigh(arguments *a, int threads) {
    long items = share(a, gradient_items(threads), GRADIENT_TILES);
    denseup_parallel_tiny_as_zero(items, threads, tables[denseup_instruction_set()].weigh, a);
    return items;
}

/* logits [B, H, W, O]; `low` may be NULL, `bias` too. 0, or -1 if memory ran out. */
int denseup_encode(const geometry *s, const float *high, const float *low, const weights *w, const float *bias,
                   float *logits) {
    map_shape shape = high_shape(s), small = low_shape(s);
    long transformed = 16 * s->channels * in_lanes(s->outputs),
         low_size = low ? s->batch * s->low_height * s->low_width * s->outputs : 0;
    float *memory = malloc((size_t)(transformed + low_size + most_channels(s)) * sizeof(float));
    if (!memory) return -1;
    float *low_logits = memory + transformed, *zeros = low_logits + low_size;
    for (long c = 0; c < most_channels(s); c++) zeros[c] = 0;
    transform_weights(w, &shape, 0, memory);
    int failed = 0;
    if (low) {
        arguments a = {
            .shape = small, .map = low, .zeros = zeros, .transformed = memory, .bias = bias, .result = low_logits};
        failed = convolve(&a, s->threads);
    }
    arguments a = {
        .shape = shape,
        .map = high,
        .zeros = zeros,
        .transformed = memory,
        .bias = bias,
        .result = logits,
        .low = low ? low_logits : 0,
        .low_height = s->low_height,
        .low_width = s->low_width,
    };
    if (!failed) failed = convolve(&a, s->threads);
    free(memory);
    return failed;
}

typedef struct {
    const geometry *shape;
    const float *grad;
    float *low;
} pooling;

/* One row of the gradient of nearest neighbour: the sums over the pixels that belong to each. */
static void pool_row(void *context, long row) {
    const pooling *p = context;
    const geometry *s = p->shape;
    long image = row / s->low_height, source = row % s->low_height;
    long top = first_output(source, s->low_height, s->height),
         bottom = first_output(source + 1, s->low_height, s->height);
    for (long x = 0; x < s->low_width; x++) {
        float *to = p->low + (row * s->low_width + x) * s->outputs;
        long left = first_output(x, s->low_width, s->width), right = first_output(x + 1, s->low_width, s->width);
        for (long o = 0; o < s->outputs; o++) to[o] = 0;
        for (long i = top; i < bottom; i++)
            for (long j = left; j < right; j++) {
                const float *from = p->grad + ((image * s->height + i) * s->width + j) * s->outputs;
                for (long o = 0; o < s->outputs; o++) to[o] += from[o];
            }
    }
}

/* Gradients of denseup_encode; each but that of the logits may be NULL, and is then not computed.
 * 0, or -1 if memory ran out. */
int denseup_encode_backward(const geometry *s, const float *grad, const float *high, const float *low, const weights *w,
                            float *grad_high, float *grad_low, const weights *grad_weights, float *grad_bias) {
    map_shape shape[2] = {high_shape(s), low_shape(s)};
    const float *map[2] = {high, low};
    float *grad_map[2] = {grad_high, grad_low};
    int maps = low ? 2 : 1, failed = 0;
    long transformed = 16 * s->outputs * in_lanes(s->channels),
         pooled = low ? s->batch * s->low_height * s->low_width * s->outputs : 0;
    long items = gradient_items(s->threads) * maps, sums = items * transformed;
    double *memory = malloc((size_t)(items * s->outputs) * sizeof(double) +
                            (size_t)(transformed + sums + pooled + most_channels(s)) * sizeof(float));
    if (!memory) return -1;
    double *bias_sums = memory;
    float *turned_weights = (float *)(memory + items * s->outputs), *all_sums = turned_weights + transformed;
    float *low_grad = all_sums + sums, *zeros = low_grad + pooled;
    for (long c = 0; c < most_channels(s); c++) zeros[c] = 0;
    const float *grads[2] = {grad, low_grad};
    if (low) {
        pooling p = {s, grad, low_grad};
        denseup_parallel_tiny_as_zero(s->batch * s->low_height, s->threads, pool_row, &p);
    }
    if (grad_high || grad_low) {
        map_shape t = turned(shape[0]);
        transform_weights(w, &t, 1, turned_weights);
    }
    for (int k = 0; k < maps && !failed; k++) {
        if (!grad_map[k]) continue;
        arguments a = {.shape = turned(shape[k]),
                       .map = grads[k],
                       .zeros = zeros,
                       .transformed = turned_weights,
                       .result = grad_map[k]};
        failed = convolve(&a, s->threads);
    }
    if (grad_weights || grad_bias) {
        long used = 0;
        for (int k = 0; k < maps && !failed; k++) {
            arguments a = {
                .shape = shape[k],
                .map = map[k],
                .zeros = zeros,
                .grad = grads[k],
                .sums = all_sums + used * transformed,
                .bias_sums = bias_sums + used * s->outputs,
            };
            used += weigh(&a, s->threads);
            failed = a.failed;
        }
        if (!failed && grad_weights) transform_sums(all_sums, used, &shape[0], grad_weights);
        for (long o = 0; o < s->outputs && grad_bias; o++) {
            double sum = 0;
            for (long item = 0; item < used; item++) sum += bias_sums[item * s->outputs + o];
            grad_bias[o] = (float)sum;
        }
    }
    free(memory);
    return failed ? -1 : 0;
}
