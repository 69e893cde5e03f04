/* What the kernels of attention.c share between instruction sets. */
#ifndef DENSEUP_ATTENTION_H
#define DENSEUP_ATTENTION_H

#include "common/lanes.h"
#include "common/sizes.h"

#include <stdlib.h>

#define CHUNK 48 /* output pixels of a tile that are worked on together: a multiple of the rows of all products */
#define PACKING 4 /* packing the windows of a tile takes about as long as that many of its pixels */

typedef struct {
    long batch, height, width;  /* of the low-resolution maps */
    long out_height, out_width; /* of the high-resolution maps */
    long channels, value_channels, heads, kernel_size;
    float scale;
    int bfloat16; /* the high-resolution maps; those of low resolution are floats */
    int threads;
} attention_geometry;

/* A high-resolution map in any layout: strides, in elements. */
typedef struct {
    void *at;
    long image, channel, row, pixel;
} attention_map;

typedef struct {
    attention_geometry shape;
    attention_map query, grad, result; /* `result` is the output, or the gradient of the query */
    const float *key, *value;          /* channels-last: [batch, height, width, channels] */
    const float *key_planes, *value_planes; /* [batch, channels, height, width], 2 · LANES floats more to be read */
    float *key_bands, *value_bands; /* their gradients, of every band by itself: [batch, band, its rows, width, channels] */
    float *grad_key, *grad_value;   /* and in all, channels-last */
    long window_rows, window_columns;
    long pieces; /* forward: of the output rows of a run */
    long bands, rows_per_band;
    int stream; /* `result` is written past the caches */
    int failed; /* memory ran out */
} attention_arguments;

/* First row or column of the window of a source index. */
static inline long window_start(long source, long length, long kernel_size) {
    long start = source - kernel_size / 2;
    if (start > length - kernel_size) start = length - kernel_size;
    return start > 0 ? start : 0;
}

/* Runs of source rows whose windows begin in the same row: at the map's ends some rows, elsewhere one. The windows of run n
 * begin in row n. */
static inline long runs_of(const attention_arguments *a) { return a->shape.height - a->window_rows + 1; }

/* The first source row of run n; after the last run, the height. */
static inline long start_of_run(const attention_arguments *a, long n) {
    if (n == 0) return 0;
    return n < runs_of(a) ? n + a->shape.kernel_size / 2 : a->shape.height;
}

/* Rows that the windows of a whole band have, at most. */
static inline long rows_of_band(const attention_arguments *a) {
    long rows = a->rows_per_band + a->window_rows - 1;
    return rows < a->shape.height ? rows : a->shape.height;
}

#endif
