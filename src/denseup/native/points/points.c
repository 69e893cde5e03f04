/* Attention over points on the CPU for float32, forward and backward: at P positions of each output pixel and group of
 * channels a map is read by bilinear interpolation, and what is read is compared with a query or summed up by weights. All
 * points of a pixel are worked on in one pass over its channels, so that no map of P times the channels is made. A corner
 * outside the map is a pixel of zeros, which also keeps what lies there from being read with no weight: zero times infinity
 * is no number.
 *
 * All is derived from one sum, Σ weight · ⟨high, map at the point⟩: its gradients are the operators. That of the map is made
 * in a pass of its own, in which a thread has some channels to itself; so no sum depends on the number of threads.
 */
#include "points/points.h"

#include "common/instructions.h"
#include "common/pages.h"
#include "common/parallel.h"

#define SLICE 16 /* channels that are never parted */

#define BODY "points/points_body.h"
#include "common/each_isa.h"

typedef struct {
    denseup_task similarity, gather, read_backward, spread;
} kernels;

static const kernels tables[] = {
    {similarity_portable, gather_portable, read_backward_portable, spread_portable},
#if X86
    {similarity_avx2, gather_avx2, read_backward_avx2, spread_avx2},
    {similarity_avx512, gather_avx512, read_backward_avx512, spread_avx512},
#endif
};

static float *nothing_for(const geometry *s) { return calloc((size_t)s->channels, sizeof(float)); }

/* Products of `high` with the map, [batch, groups, points, out_height, out_width]. 0, or -1 if memory ran out. */
int denseup_point_similarity(
    const geometry *s, const float *high, const float *map, const per_point *where, const per_point *products
) {
    float *nothing = nothing_for(s);
    if (!nothing) return -1;
    arguments a = {.shape = *s, .where = *where, .map = map, .high = high, .of_weights = *products, .nothing = nothing};
    denseup_parallel(s->batch * s->out_height, s->threads, tables[denseup_instruction_set()].similarity, &a);
    free(nothing);
    return 0;
}

/* Sums [batch, out_height, out_width, channels]. 0, or -1 if memory ran out. */
int denseup_gather_points(
    const geometry *s, const float *map, const per_point *weights, const per_point *where, float *sums
) {
    float *nothing = nothing_for(s);
    if (!nothing) return -1;
    arguments a = {.shape = *s, .where = *where, .weights = *weights, .map = map, .of_high = sums, .nothing = nothing};
    denseup_ask_for_huge_pages(sums, s->batch * s->out_height * s->out_width * s->channels * (long)sizeof(float));
    denseup_parallel(s->batch * s->out_height, s->threads, tables[denseup_instruction_set()].gather, &a);
    free(nothing);
    return 0;
}

/* Gradients of Σ weight · ⟨high, map at the point⟩: of the map, which must be zeros at first, of the positions, and, where
 * they are wanted, of `high` and of the weights. 0, or -1 if memory ran out. */
int denseup_points_backward(
    const geometry *s, const float *high, const float *map, const per_point *weights, const per_point *where,
    float *of_high, float *of_map, const per_point *of_weights, const per_point *of_where
) {
    long each = s->channels / s->groups, wanted = (s->threads + s->batch - 1) / s->batch; /* items of an image */
    long slices = (wanted + s->groups - 1) / s->groups, most = each / SLICE;
    slices = slices < most ? slices : most;
    slices = slices > 1 ? slices : 1;
    long items = wanted < s->groups * slices ? wanted : s->groups * slices;
    long sink_length = (each + SLICE - 1) / SLICE * SLICE;
    float *nothing = nothing_for(s), *sink = calloc((size_t)(s->batch * items * sink_length), sizeof(float));
    if (nothing && sink) {
        arguments a = {
            .shape = *s, .where = *where, .weights = *weights, .map = map, .high = high, .of_high = of_high,
            .of_map = of_map, .of_weights = *of_weights, .of_where = *of_where, .nothing = nothing, .sink = sink,
            .sink_length = sink_length, .slices = slices, .items = items,
        };
        const kernels *table = &tables[denseup_instruction_set()];
        denseup_parallel(s->batch * s->out_height, s->threads, table->read_backward, &a);
        denseup_parallel(s->batch * items, s->threads, table->spread, &a);
    }
    int failed = nothing && sink ? 0 : -1;
    free(nothing);
    free(sink);
    return failed;
}
