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
    const float *weights; /* [channels, outputs + SPARE]; of few outputs [outputs, channels]; for the map's gradient
                             [outputs, channels + SPARE] */
    const float *bias;    /* [outputs] */
    const float *grad;    /* of the result: [pixels, outputs] */
    float *result;        /* [pixels, outputs], or the map's gradient: [pixels, channels] */
    int add;              /* whether the gradient is added to what is there */
    float *sums;          /* [items, outputs, channels]: parts of the weights' gradient */
    double *bias_sums;    /* [items, outputs]: of the bias's */
} arguments;

/* Pixels of an item. */
typedef struct {
    long first, last;
} range;

static inline range pixels_of(const arguments *a, long item) {
    long first = item * a->pixels_per_item, last = first + a->pixels_per_item;
    return (range){first, last < a->shape.pixels ? last : a->shape.pixels};
}

#endif
