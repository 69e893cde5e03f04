/* The kernels of pointwise.c for one instruction set. */
#include "common/product.h"

/* A vector or more of outputs: they lie side by side in registers. */
static void NAME(convolve_pixels)(void *context, long item) {
    const arguments *a = context;
    long C = a->shape.channels, O = a->shape.outputs, lanes = a->lanes;
    range r = pixels_of(a, item);
    float *spare = a->rows ? a->rows + item * PIXELS * lanes : NULL;
    for (long first = r.first; first < r.last; first += PIXELS) {
        long rows = r.last - first < PIXELS ? r.last - first : PIXELS;
        float *to = a->result + first * O;
        NAME(product) p = {
            .a = a->map + first * C, .a_row = C, .a_step = 1, .next_a = PIXELS_AHEAD * C,
            .b = a->weights, .b_step = lanes + SPARE, .steps = C,
            .start = a->bias, .to = spare ? spare : to, .to_row = lanes,
        };
        NAME(multiply)(rows, lanes, p);
        if (spare) copy_rows(rows, O, spare, lanes, to, O);
    }
}

#define ABREAST 4

/* `outputs` outputs (a constant, up to ABREAST) of ABREAST pixels: inner products, over vectors of channels. */
INLINE void NAME(convolve_few)(
    const arguments *a, const float *const *pixels, const float *weights, const float *bias, int outputs, long next,
    float *const *to, int count
) {
    long C = a->shape.channels;
    vf sums[ABREAST][ABREAST] = {0};
    for (long c = 0; c < C; c += V) {
        vf x[ABREAST];
        for (int n = 0; n < ABREAST; n++) {
            if (next && c % 16 == 0) __builtin_prefetch(pixels[n] + next + c, 0, 2);
            x[n] = NAME(load_float)(pixels[n] + c);
        }
        for (int j = 0; j < outputs; j++) {
            vf w = NAME(load_float)(weights + j * C + c);
            for (int n = 0; n < ABREAST; n++) sums[j][n] += w * x[n];
        }
    }
    for (int j = 0; j < outputs; j++) {
        v4 of_pixels = NAME(sums)(sums[j][0], sums[j][1], sums[j][2], sums[j][3]);
        for (int n = 0; n < count; n++) to[n][j] = of_pixels[n] + bias[j];
    }
}

/* Any number of outputs. */
static void NAME(convolve_pixels_few)(void *context, long item) {
    const arguments *a = context;
    long C = a->shape.channels, O = a->shape.outputs;
    range r = pixels_of(a, item);
    for (long first = r.first; first < r.last; first += ABREAST) {
        int count = r.last - first < ABREAST ? (int)(r.last - first) : ABREAST;
        const float *pixels[ABREAST];
        float *to[ABREAST];
        for (long o = 0, width; o < O; o += width) {
            width = O - o < ABREAST ? 1 : ABREAST;
            for (int n = 0; n < ABREAST; n++) {
                long pixel = first + (n < count ? n : 0);
                pixels[n] = a->map + pixel * C;
                to[n] = a->result + pixel * O + o;
            }
            long next = o ? 0 : 2 * ABREAST * C;
            const float *weights = a->weights + o * C, *bias = a->bias + o;
            if (width == ABREAST) NAME(convolve_few)(a, pixels, weights, bias, ABREAST, next, to, count);
            else NAME(convolve_few)(a, pixels, weights, bias, 1, next, to, count);
        }
    }
}

#undef ABREAST

static void NAME(add_to_pixels)(void *context, long item) {
    const arguments *a = context;
    long C = a->shape.channels, O = a->shape.outputs, lanes = a->lanes;
    range r = pixels_of(a, item);
    float *spare = a->rows ? a->rows + item * PIXELS * lanes : NULL;
    for (long first = r.first; first < r.last; first += PIXELS) {
        long rows = r.last - first < PIXELS ? r.last - first : PIXELS;
        float *result = a->result + first * C, *to = spare ? spare : result;
        if (spare && a->add) copy_rows(rows, C, result, C, spare, lanes);
        NAME(product) p = {
            .a = a->grad + first * O, .a_row = O, .a_step = 1,
            .b = a->weights, .b_step = lanes + SPARE, .steps = O,
            .start = a->add ? to : 0, .start_row = lanes, .to = to, .to_row = lanes, .next_to = spare ? 0 : PIXELS * C,
        };
        NAME(multiply)(rows, lanes, p);
        if (spare) copy_rows(rows, C, spare, lanes, result, C);
    }
}

static void NAME(weigh_pixels)(void *context, long item) {
    const arguments *a = context;
    long C = a->shape.channels, O = a->shape.outputs, lanes = a->lanes;
    range r = pixels_of(a, item);
    float *sums = a->sums + item * O * lanes, *spare = a->rows ? a->rows + item * GRADIENT_PIXELS * lanes : NULL;
    double *bias_sums = a->bias_sums + item * O;
    __builtin_memset(sums, 0, (size_t)(O * lanes) * sizeof(float));
    __builtin_memset(bias_sums, 0, (size_t)O * sizeof(double));
    if (spare) __builtin_memset(spare, 0, (size_t)(GRADIENT_PIXELS * lanes) * sizeof(float));
    for (long first = r.first; first < r.last; first += GRADIENT_PIXELS) {
        long steps = r.last - first < GRADIENT_PIXELS ? r.last - first : GRADIENT_PIXELS;
        const float *map = a->map + first * C;
        if (spare) copy_rows(steps, C, map, C, spare, lanes);
        NAME(product) p = {
            .a = a->grad + first * O, .a_row = 1, .a_step = O,
            .b = spare ? spare : map, .b_step = lanes, .steps = steps, .next_b = spare ? 0 : GRADIENT_PIXELS * C,
            .start = sums, .start_row = lanes, .to = sums, .to_row = lanes,
        };
        NAME(multiply)(O, lanes, p);
        NAME(add_rows)(steps, O, a->grad + first * O, O, bias_sums);
    }
}
