/* Reassembly and its gradients on the CPU, for float32 and bfloat16 features with float32 kernels and sums.
 *
 * Shapes, channels-last: low [B, h, w, C], high [B, H, W, C], kernels [B, H, W, G·K²], gate [B, h, w]. Output pixel y, x
 * belongs to source pixel floor(y·h/H), floor(x·w/W), for any sizes H ≥ h and W ≥ w.
 */
#include "reassembly/reassembly.h"

#include "common/instructions.h"
#include "common/pages.h"
#include "common/parallel.h"

#include <stdint.h>

#define BODY "reassembly/reassembly_types.h"
#include "common/each_isa.h"

typedef struct {
    int channels; /* in a full block of the adjoint */
    denseup_task reassemble[2], adjoint[2], similarity[2], fused_backward[2];
    denseup_task similarity_lines[2], fused_backward_lines[2];
} kernels;

#define TABLE(ISA, CHANNELS)                                                   \
    {                                                                          \
        CHANNELS, {reassemble_rows_##ISA##_f32, reassemble_rows_##ISA##_bf16}, \
            {adjoint_rows_##ISA##_f32, adjoint_rows_##ISA##_bf16},             \
            {similarity_row_##ISA##_f32, similarity_row_##ISA##_bf16},         \
            {fused_backward_row_##ISA##_f32, fused_backward_row_##ISA##_bf16}, \
            {similarity_lines_##ISA##_f32, similarity_lines_##ISA##_bf16}, {   \
            fused_backward_lines_##ISA##_f32, fused_backward_lines_##ISA##_bf16 \
        }                                                                      \
    }

static const kernels tables[] = {
    TABLE(portable, 8),
#if X86
    TABLE(avx2, 16),
    TABLE(avx512, 64),
#endif
};

static const kernels *table(void) { return &tables[denseup_instruction_set()]; }

/* Low-resolution rows that are worked on together: as many as leave every thread several items. */
static long band_rows(const geometry *shape, long items_per_band) {
    long rows = 16;
    while (rows > 2 && shape->batch * items_per_band * (divided_up(shape->height, rows)) < 4L * shape->threads)
        rows /= 2;
    return rows;
}

static long run_bands(arguments *a, denseup_task task, long items_per_band) {
    const geometry *s = &a->shape;
    a->rows_per_item = band_rows(s, items_per_band);
    long bands = divided_up(s->height, a->rows_per_item);
    denseup_parallel(s->batch * bands * items_per_band, s->threads, task, a);
    return a->failed ? -1 : 0;
}

/* Whether a map can be streamed: floats, whole vectors everywhere. */
static int streamable(const geometry *shape, int bfloat16, const void *map) {
    long per_group = shape->channels / shape->groups;
    return !bfloat16 && per_group % LANES == 0 && (uintptr_t)map % (LANES * sizeof(float)) == 0;
}

/* A result from this size on will have left the caches before anything reads it, and is streamed: without that,
 * every line of it is read from memory only to be written. Measured, with a convolution that reads the result, on two
 * cores with 1 MB each and 32 MB in common: slower by some per cent at 1.6 MB, faster from 4 MB on. */
#define STREAMED_BYTES (4L << 20)

static long low_bytes(const geometry *s, int bfloat16) {
    return s->batch * s->height * s->width * s->channels * (bfloat16 ? 2L : 4L);
}

static long high_bytes(const geometry *s, int bfloat16) {
    return s->batch * s->out_height * s->out_width * s->channels * (bfloat16 ? 2L : 4L);
}

/* Whether every source pixel has one output pixel, and the kernel is of a size that has kernels for lines of them. */
static int in_lines(const geometry *s) {
    int same = s->height == s->out_height && s->width == s->out_width;
    return same && s->kernel_size >= 3 && s->kernel_size <= 9;
}

/* out = reassembly of `low`; with `normalize` the kernels are logits, with `en` and `gate` the result is blended.
 * 0, or -1 if memory ran out. */
int denseup_reassemble(const geometry *shape, int bfloat16, const void *low, const float *weights, int normalize,
                       const void *en, const float *gate, void *out) {
    arguments a = {
        .shape = *shape, .low = low, .kernels = weights, .normalize = normalize, .en = en, .gate = gate, .result = out};
    denseup_ask_for_huge_pages(out, high_bytes(shape, bfloat16));
    a.stream = high_bytes(shape, bfloat16) >= STREAMED_BYTES && streamable(shape, bfloat16, out);
    a.lines = in_lines(shape);
    return run_bands(&a, table()->reassemble[bfloat16], 1);
}

/* Gradient of the features: `high` is the gradient of the output, `to` [B, h, w, C]. 0, or -1 if memory ran out. */
int denseup_adjoint(const geometry *shape, int bfloat16, const void *high, const float *weights, void *to) {
    const kernels *k = table();
    long per_group = shape->channels / shape->groups, blocks = divided_up(per_group, k->channels);
    arguments a = {.shape = *shape, .high = high, .kernels = weights, .result = to};
    denseup_ask_for_huge_pages(to, low_bytes(shape, bfloat16));
    return run_bands(&a, k->adjoint[bfloat16], shape->groups * blocks);
}

/* Whether the similarity of lines is the faster one. Measured, with AVX-512: up to 35 times with few channels; at 64 faster
 * but for K 5, of whose row the other keeps all sums in registers, and at 128 slower with most. With the softmax's gradient
 * it is faster at 64 with any. What it packs should stay in the caches of a core. */
#define LINE_CHANNELS 64
#define LINE_CHANNELS_OF_5 48
#define LINE_BYTES (1L << 20)

static int packs_lines(const geometry *s, int alone) {
    long most = alone && s->kernel_size == 5 ? LINE_CHANNELS_OF_5 : LINE_CHANNELS;
    return in_lines(s) && s->channels / s->groups <= most &&
           s->channels * s->kernel_size * s->width * (long)sizeof(float) <= LINE_BYTES;
}

/* Local similarity of `high` (query) and `low` (key): `to` [B, H, W, G·K²]. */
void denseup_similarity(const geometry *shape, int bfloat16, const void *high, const void *low, float *to) {
    arguments a = {.shape = *shape, .high = high, .low = low, .grad_kernels = to};
    if (packs_lines(shape, 1) && run_bands(&a, table()->similarity_lines[bfloat16], 1) == 0) return; /* else, without memory: */
    denseup_parallel(shape->batch * shape->height, shape->threads, table()->similarity[bfloat16], &a);
}

/* Gradients of denseup_reassemble with `normalize`, all but that of `low`, which denseup_adjoint makes of `scaled`. That of
 * the encoder feature is streamed at any size, which was measured to be no slower even at 1.6 MB. */
void denseup_fused_backward(const geometry *shape, int bfloat16, const void *high, const void *low, const float *logits,
                            const void *en, const float *gate, float *grad_logits, float *scaled, void *grad_en,
                            float *grad_gate) {
    arguments a = {
        .shape = *shape,
        .high = high,
        .low = low,
        .kernels = logits,
        .en = en,
        .gate = gate,
        .result = grad_en,
        .stream = streamable(shape, bfloat16, grad_en),
        .grad_kernels = grad_logits,
        .scaled = scaled,
        .grad_gate = grad_gate,
    };
    if (packs_lines(shape, 0) && !en && run_bands(&a, table()->fused_backward_lines[bfloat16], 1) == 0) return;
    if (grad_en) denseup_ask_for_huge_pages(grad_en, high_bytes(shape, bfloat16));
    denseup_parallel(shape->batch * shape->height, shape->threads, table()->fused_backward[bfloat16], &a);
}
