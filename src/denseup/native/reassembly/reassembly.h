/* What the kernels of reassembly.c share between instruction sets. All maps are channels-last and dense. */
#ifndef DENSEUP_REASSEMBLY_H
#define DENSEUP_REASSEMBLY_H

#include "common/lanes.h"
#include "common/sizes.h"

#include <stdlib.h>

#define MAX_KERNEL_SIZE 15
#define MAX_TAPS (MAX_KERNEL_SIZE * MAX_KERNEL_SIZE)
#define PREFETCH_PIXELS 2 /* source pixels ahead, the best of 1, 2 and 4 */
#define MAX_PIXELS 4      /* output pixels of one source pixel that are worked on together */

typedef struct {
    long batch, height, width;  /* of the low-resolution map */
    long out_height, out_width; /* of the high-resolution map */
    long channels, groups, kernel_size;
    int threads;
} geometry;

typedef struct {
    geometry shape;
    const void *low;      /* de, key, or the gradient's destination is `result` */
    const void *high;     /* query, or the gradient of the output */
    const float *kernels; /* weights, or logits where `normalize` */
    const void *en;       /* encoder feature of the gate, or NULL */
    const float *gate;    /* [batch, height, width], or NULL */
    int normalize;
    void *result;
    int stream;          /* `result` is written past the caches */
    int lines;           /* every source pixel has one output pixel, and there are kernels for that */
    float *grad_kernels; /* backward of the fused form: gradient of the logits, */
    float *scaled;       /* (1 - gate) · kernels, */
    float *grad_gate;    /* and of the gate */
    long rows_per_item;
    int failed; /* memory ran out */
} arguments;

/* Some low-resolution rows of an image, and the scratch memory of whoever works on them. */
typedef struct {
    long image, first, last;
    long rows_per_source; /* output rows of a source row, at most */
    long *columns;        /* first output column of every source column, and the end */
    float *ring;          /* packed rows */
    float *kernels;       /* normalised kernels of the output rows, if asked for */
    void *memory;
} band;

static inline void close_band(band *b) { free(b->memory); }

/* The item-th band; 0, and the failure noted, if memory ran out. */
static inline int open_band(band *b, arguments *a, long item, long ring, int with_kernels) {
    const geometry *s = &a->shape;
    long bands = (s->height + a->rows_per_item - 1) / a->rows_per_item;
    b->image = item / bands;
    b->first = item % bands * a->rows_per_item;
    b->last = b->first + a->rows_per_item < s->height ? b->first + a->rows_per_item : s->height;
    b->rows_per_source = (s->out_height + s->height - 1) / s->height;
    long rows = first_output(b->last, s->height, s->out_height) - first_output(b->first, s->height, s->out_height);
    long kernels = with_kernels ? rows * s->out_width * s->groups * s->kernel_size * s->kernel_size : 0;
    b->memory = malloc((size_t)(s->width + 1) * sizeof(long) + (size_t)(ring + kernels) * sizeof(float));
    if (!b->memory) {
        a->failed = 1;
        return 0;
    }
    b->columns = b->memory;
    b->ring = (float *)(b->columns + s->width + 1);
    b->kernels = b->ring + ring;
    for (long x = 0; x <= s->width; x++) b->columns[x] = first_output(x, s->width, s->out_width);
    return 1;
}

#endif
