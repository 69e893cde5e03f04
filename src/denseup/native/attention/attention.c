/* Neighbourhood attention and its gradients on the CPU: float32 or bfloat16 maps of high resolution in any layout, float32
 * maps of low resolution, float32 sums and softmax.
 *
 * Shapes: query [B, D, H, W], key [B, D, h, w], value [B, C, h, w]. Output pixel y, x belongs to source pixel
 * floor(y·h/H), floor(x·w/W), for any sizes H ≥ h and W ≥ w; windows stay inside the map (`window_start`).
 */
#include "attention/attention.h"

#include "common/instructions.h"
#include "common/pages.h"
#include "common/parallel.h"

#include <stdint.h>

#define BODY "attention/attention_body.h"
#include "common/each_isa.h"

typedef struct {
    denseup_task attend, attend_backward, add_all_bands;
} kernels;

#define TABLE(ISA) {attend_##ISA, attend_backward_##ISA, add_all_bands_##ISA}

static const kernels tables[] = {
    TABLE(portable),
#if X86
    TABLE(avx2),
    TABLE(avx512),
#endif
};

/* Bands of source rows that each have gradients of key and value of their own, which are added in the end: so many, or fewer
 * where they would have less rows of their own than they share with the next. Their number goes by the size alone, so that
 * results do not depend on the threads. */
#define BANDS 16

/* A result from this size on will have left the caches before anything reads it; see reassembly.c. */
#define STREAMED_BYTES (4L << 20)

static attention_arguments prepared(const attention_geometry *shape, attention_map query, attention_map result) {
    attention_arguments a = {.shape = *shape, .query = query, .result = result};
    a.window_rows = shape->kernel_size < shape->height ? shape->kernel_size : shape->height;
    a.window_columns = shape->kernel_size < shape->width ? shape->kernel_size : shape->width;
    long rows = divided_up(shape->height, BANDS);
    a.rows_per_band = rows < a.window_rows ? a.window_rows : rows;
    a.bands = divided_up(shape->height, a.rows_per_band);
    return a;
}

/* Ask for huge pages for the result of `channels` channels, and stream it where that can be done. */
static void place(attention_arguments *a, long channels) {
    const attention_geometry *s = &a->shape;
    long bytes = s->batch * s->out_height * s->out_width * channels * (s->bfloat16 ? 2L : 4L);
    denseup_ask_for_huge_pages(a->result.at, bytes);
    a->stream = bytes >= STREAMED_BYTES && a->result.channel == 1 && channels / s->heads % LANES == 0 &&
                (uintptr_t)a->result.at % (LANES * sizeof(float)) == 0;
}

/* out [B, C, H, W]. 0, or -1 if memory ran out. */
int denseup_attention(const attention_geometry *shape, attention_map query, const float *key_planes, const float *value,
                      attention_map out) {
    attention_arguments a = prepared(shape, query, out);
    a.key_planes = key_planes;
    a.value = value;
    long runs = runs_of(&a), most = divided_up(shape->out_height, runs);
    a.pieces = divided_up(4L * shape->threads, shape->batch * runs);
    if (a.pieces > most) a.pieces = most;
    place(&a, shape->value_channels);
    denseup_parallel(shape->batch * runs * a.pieces, shape->threads, tables[denseup_instruction_set()].attend, &a);
    return a.failed ? -1 : 0;
}

/* Floats that the gradients of a map of `channels` channels have in all bands. */
long denseup_attention_band_floats(const attention_geometry *shape, long channels) {
    attention_map none = {0};
    attention_arguments a = prepared(shape, none, none);
    return shape->batch * a.bands * rows_of_band(&a) * shape->width * channels;
}

/* Gradients of query, key and value, those of the last two channels-last. 0, or -1 if memory ran out. */
int denseup_attention_backward(const attention_geometry *shape, attention_map grad, attention_map query, const float *key,
                               const float *key_planes, const float *value_planes, attention_map grad_query,
                               float *key_bands, float *value_bands, float *grad_key, float *grad_value) {
    const kernels *k = &tables[denseup_instruction_set()];
    attention_arguments a = prepared(shape, query, grad_query);
    a.grad = grad;
    a.key = key;
    a.key_planes = key_planes;
    a.value_planes = value_planes;
    a.key_bands = key_bands;
    a.value_bands = value_bands;
    a.grad_key = grad_key;
    a.grad_value = grad_value;
    place(&a, shape->channels);
    denseup_parallel(shape->batch * a.bands * shape->heads, shape->threads, k->attend_backward, &a);
    denseup_parallel(shape->batch * shape->height, shape->threads, k->add_all_bands, &a);
    return a.failed ? -1 : 0;
}
