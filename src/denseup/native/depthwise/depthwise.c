/* Depthwise convolution, on the CPU for float32, forward and backward: every channel of a map by a kernel of its own,
 * and, if asked for, of every image by kernels of its own. Channels lie side by side in registers; no map is copied.
 *
 *     y[o] = Σ_t w[t] · x[o·stride - padding + t],   zero outside the map
 */
#include "depthwise/depthwise.h"

#include "common/instructions.h"
#include "common/pages.h"
#include "common/parallel.h"

#define BODY "depthwise/depthwise_body.h"
#include "common/each_isa.h"

typedef struct {
    denseup_task convolve, give_back, weigh;
    int lanes;
} kernels;

static const kernels tables[] = {
    {convolve_portable, give_back_portable, weigh_portable, 4},
#if X86
    {convolve_avx2, give_back_avx2, weigh_avx2, 8},
    {convolve_avx512, give_back_avx512, weigh_avx512, 16},
#endif
};

static const kernels *table(void) { return &tables[denseup_instruction_set()]; }

/* The result [batch, out_height, out_width, channels]. */
void denseup_depthwise(const geometry *s, const float *map, const float *weights, float *result) {
    arguments a = {.shape = *s, .map = map, .weights = weights, .result = result};
    denseup_parallel_tiny_as_zero(s->batch * s->out_height, s->threads, table()->convolve, &a);
}

/* Gradients of the map and of the weights, [batch or 1, kernel_size², channels]; NULL for one that is not wanted. */
void denseup_depthwise_backward(
    const geometry *s, const float *grad, const float *map, const float *weights, float *of_map, float *of_weights
) {
    if (of_map) {
        arguments a = {.shape = *s, .weights = weights, .grad = grad, .result = of_map};
        denseup_ask_for_huge_pages(of_map, s->batch * s->height * s->width * s->channels * (long)sizeof(float));
        denseup_parallel_tiny_as_zero(s->batch * s->height, s->threads, table()->give_back, &a);
    }
    if (of_weights) {
        arguments a = {.shape = *s, .map = map, .grad = grad, .result = of_weights};
        long blocks = (s->channels + table()->lanes - 1) / table()->lanes;
        denseup_parallel_tiny_as_zero((s->each_image ? s->batch : 1) * blocks, s->threads, table()->weigh, &a);
    }
}
