/* The 1×1 convolution that embeds features for a kernel generator, on the CPU for float32, forward and backward:
 *
 *     y = W x + b,   dx += Wᵀ dy,   dW = Σ dy xᵀ
 *
 * Shapes, channels-last: x [P, C] and y [P, O] of all P pixels, W [O, C]. General matrix products wait for maps that have
 * left the caches; these bring near, while they compute, what comes next. Where rows are no whole vectors, some at a time
 * are worked on in rows that are.
 */
#include "pointwise/pointwise.h"

#include "common/instructions.h"
#include "common/parallel.h"
#include "common/sizes.h"

#define BODY "pointwise/pointwise_body.h"
#include "common/each_isa.h"

typedef struct {
    denseup_task convolve, convolve_few, add, weigh;
} kernels;

static const kernels tables[] = {
    {convolve_pixels_portable, convolve_pixels_few_portable, add_to_pixels_portable, weigh_pixels_portable},
#if X86
    {convolve_pixels_avx2, convolve_pixels_few_avx2, add_to_pixels_avx2, weigh_pixels_avx2},
    {convolve_pixels_avx512, convolve_pixels_few_avx512, add_to_pixels_avx512, weigh_pixels_avx512},
#endif
};

static const kernels *table(void) { return &tables[denseup_instruction_set()]; }

/* Spread the pixels over at most `items` items of whole blocks; how many there are. */
static long share(arguments *a, long items, long block) {
    a->pixels_per_item = divided_up(divided_up(a->shape.pixels, items), block) * block;
    return divided_up(a->shape.pixels, a->pixels_per_item);
}

static long whole(long count) { return divided_up(count, LANES) * LANES; }

/* Runs a task of maps whose rows have `row` floats, `lanes` of which are computed. 0, or -1 if memory ran out. */
static int run(arguments *a, denseup_task task, long row) {
    int threads = a->shape.threads;
    long items = share(a, 8L * threads, PIXELS);
    a->rows = NULL;
    if (a->lanes != row) {
        a->rows = calloc((size_t)(items * PIXELS * a->lanes), sizeof(float));
        if (!a->rows) return -1;
    }
    denseup_parallel_tiny_as_zero(items, threads, task, a);
    free(a->rows);
    return 0;
}

/* y [P, O], where O is a vector or more, or C is whole vectors. 0, or -1 if memory ran out. */
int denseup_pointwise(const geometry *s, const float *x, const float *weights, const float *bias, float *y) {
    /* so few that padding them to vectors would be a waste */
    int few = s->outputs % LANES != 0 && s->channels % LANES == 0 && s->outputs < 3 * LANES;
    long lanes = few ? s->outputs : whole(s->outputs), row = lanes + SPARE;
    float *memory = calloc((size_t)((few ? 1 : s->channels + 1) * row), sizeof(float)), *turned = memory + row;
    if (!memory) return -1;
    for (long o = 0; o < s->outputs; o++) memory[o] = bias ? bias[o] : 0;
    for (long o = 0; o < s->outputs && !few; o++)
        for (long c = 0; c < s->channels; c++) turned[c * row + o] = weights[o * s->channels + c];
    arguments a = {
        .shape = *s, .map = x, .weights = few ? weights : turned, .bias = memory, .result = y, .lanes = lanes};
    int failed = run(&a, few ? table()->convolve_few : table()->convolve, s->outputs);
    free(memory);
    return failed;
}

/* Adds the gradient with regard to x to `to` [P, C], or writes it there. 0, or -1 if memory ran out. */
static int map_gradient(const geometry *s, const float *grad, const float *weights, float *to, int add) {
    long lanes = whole(s->channels), row = lanes + SPARE;
    float *spaced = calloc((size_t)(s->outputs * row), sizeof(float));
    if (!spaced) return -1;
    for (long o = 0; o < s->outputs; o++)
        for (long c = 0; c < s->channels; c++) spaced[o * row + c] = weights[o * s->channels + c];
    arguments a = {.shape = *s, .weights = spaced, .grad = grad, .result = to, .add = add, .lanes = lanes};
    int failed = run(&a, table()->add, s->channels);
    free(spaced);
    return failed;
}

/* The gradients of the weights, [O, C], and of the bias, [O]. 0, or -1 if memory ran out. */
static int weigh(const geometry *s, const float *grad, const float *x, float *grad_weights, float *grad_bias) {
    arguments a = {.shape = *s, .map = x, .grad = grad, .lanes = whole(s->channels)};
    long items = share(&a, 2L * s->threads, GRADIENT_PIXELS), size = s->outputs * a.lanes;
    long rows = a.lanes == s->channels ? 0 : GRADIENT_PIXELS * a.lanes;
    double *memory = malloc((size_t)(items * s->outputs) * sizeof(double) + (size_t)(items * (size + rows)) * sizeof(float));
    if (!memory) return -1;
    a.bias_sums = memory;
    a.sums = (float *)(memory + items * s->outputs);
    a.rows = rows ? a.sums + items * size : NULL;
    denseup_parallel_tiny_as_zero(items, s->threads, table()->weigh, &a);
    for (long item = 1; item < items; item++) {
        for (long k = 0; k < size; k++) a.sums[k] += a.sums[item * size + k];
        for (long o = 0; o < s->outputs; o++) a.bias_sums[o] += a.bias_sums[item * s->outputs + o];
    }
    copy_rows(s->outputs, s->channels, a.sums, a.lanes, grad_weights, s->channels);
    for (long o = 0; o < s->outputs; o++) grad_bias[o] = (float)a.bias_sums[o];
    free(memory);
    return 0;
}

/* Gradients of denseup_pointwise: those of weights and bias, both or NULL, are written, that of x is added to `to`, or
 * with `add` 0 written there; NULL for none. 0, or -1 if memory ran out. */
int denseup_pointwise_backward(const geometry *s, const float *grad, const float *x, const float *weights,
                               float *grad_weights, float *grad_bias, float *to, int add) {
    if (grad_weights && weigh(s, grad, x, grad_weights, grad_bias)) return -1;
    return to ? map_gradient(s, grad, weights, to, add) : 0;
}
