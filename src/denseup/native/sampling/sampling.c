/* Bilinear sampling of a map at any positions, on the CPU for float32, forward and backward. Each group of channels has
 * positions of its own; all channels of a pixel lie side by side. A corner outside the map is a pixel of zeros, which
 * also keeps what lies there from being read with no weight: zero times infinity is no number.
 */
#include "sampling/sampling.h"

#include "common/instructions.h"
#include "common/pages.h"
#include "common/parallel.h"

#include <string.h>

#define BODY "sampling/sampling_body.h"
#include "common/each_isa.h"

typedef struct {
    denseup_task sample, backward;
} kernels;

static const kernels tables[] = {
    {sample_portable, sample_backward_portable},
#if X86
    {sample_avx2, sample_backward_avx2},
    {sample_avx512, sample_backward_avx512},
#endif
};

#define LEAST_SLICE 16 /* channels */

/* The result [batch, out_height, out_width, channels]. 0, or -1 if memory ran out. */
int denseup_sample(const geometry *s, const float *map, const positions *where, float *result) {
    float *nothing = calloc((size_t)s->channels, sizeof(float));
    if (!nothing) return -1;
    arguments a = {.shape = *s, .where = *where, .map = map, .result = result, .nothing = nothing};
    denseup_ask_for_huge_pages(result, s->batch * s->out_height * s->out_width * s->channels * (long)sizeof(float));
    denseup_parallel(s->batch * s->out_height, s->threads, tables[denseup_instruction_set()].sample, &a);
    free(nothing);
    return 0;
}

/* Gradients: of the map, which must be zeros at first, and of the positions, [batch, 2·groups, out_height, out_width].
 * 0, or -1 if memory ran out. */
int denseup_sample_backward(
    const geometry *s, const float *grad, const float *map, const positions *where, float *of_map, float *of_where
) {
    long C = s->channels, wanted = (s->threads + s->batch - 1) / s->batch; /* items of an image */
    long most = C / s->groups / LEAST_SLICE;
    long slices = (wanted + s->groups - 1) / s->groups;
    slices = slices < most ? slices : most;
    slices = slices > 1 ? slices : 1;
    long items = wanted < s->groups * slices ? wanted : s->groups * slices;
    size_t size = (size_t)(s->batch * 2 * s->groups * s->out_height * s->out_width);
    float *nothing = calloc((size_t)(C + s->batch * items * C), sizeof(float));
    float *parts = slices > 1 ? malloc((size_t)slices * size * sizeof(float)) : of_where;
    if (nothing && parts) {
        arguments a = {
            .shape = *s, .where = *where, .map = map, .grad = grad, .of_map = of_map, .of_where = parts,
            .nothing = nothing, .sink = nothing + C, .slices = slices, .items = items,
        };
        denseup_parallel(s->batch * items, s->threads, tables[denseup_instruction_set()].backward, &a);
        if (slices > 1) {
            memcpy(of_where, parts, size * sizeof(float));
            for (long slice = 1; slice < slices; slice++)
                for (size_t k = 0; k < size; k++) of_where[k] += parts[(size_t)slice * size + k];
        }
    }
    int failed = nothing && parts ? 0 : -1;
    if (parts != of_where) free(parts);
    free(nothing);
    return failed;
}
