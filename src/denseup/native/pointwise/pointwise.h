/* What the kernels of pointwise.c share between instruction sets. All maps are channels-last and dense. */
#ifndef DENSEUP_POINTWISE_H
#define DENSEUP_POINTWISE_H

#include "common/lanes.h"

#include <stdlib.h>

#define PIXELS 48 /* whose part of the maps stays in the caches while all channels are gone through */
#define GRADIENT_PIXELS 128
#define PIXELS_AHEAD 12 /* two tiles, which are brought near while one is computed */

typedef struct {
    long pixels, channels, outputs;
    int threads;
} geometry;

typedef struct {
    geometry shape;
    long pixels_per_item;
    const float *map;     /* [pixels, channels] */
    const float *weights; /* [channels, lanes + SPARE]; of few outputs [outputs, channels]; for the map's gradient
                             [outputs, lanes + SPARE] */
    const float *bias;    /* [lanes] */
    const float *grad;    /* of the result: [pixels, outputs] */
    float *result;        /* [pixels, outputs], or the map's gradient: [pixels, channels] */
    int add;              /* whether the gradient is added to what is there */
    float *sums;          /* [items, outputs, lanes]: parts of the weights' gradient */
    double *bias_sums;    /* [items, outputs]: of the bias's */
    long lanes;           /* the outputs, or for gradients the channels, in whole vectors */
    float *rows;          /* [items, pixels at once, lanes], for maps whose rows are no whole vectors; else NULL */
} arguments;

/* Pixels of an item. */
typedef struct {
    long first, last;
} range;

/* Rows of `from` floats, `some` of which go to rows of `to` floats. */
static inline void copy_rows(long rows, long some, const float *at, long from, float *copy, long to) {
    for (long n = 0; n < rows; n++) __builtin_memcpy(copy + n * to, at + n * from, (size_t)some * sizeof(float));
}

static inline range pixels_of(const arguments *a, long item) {
    long first = item * a->pixels_per_item, last = first + a->pixels_per_item;
    return (range){first, last < a->shape.pixels ? last : a->shape.pixels};
}

#endif
