/* What the kernels of depthwise.c share between instruction sets. All maps are channels-last and dense. */
#ifndef DENSEUP_DEPTHWISE_H
#define DENSEUP_DEPTHWISE_H

#include <stdlib.h>

#define MOST_TAPS 8 /* of a row of the kernel */
#define ABREAST 4   /* vectors of channels */

typedef struct {
    long batch, channels;
    long height, width;         /* of the map */
    long out_height, out_width; /* of the result */
    long kernel_size, stride, padding;
    int each_image; /* whether every image has kernels of its own */
    int threads;
} geometry;

typedef struct {
    geometry shape;
    const float *map;     /* [batch, height, width, channels] */
    const float *weights; /* [batch or 1, kernel_size², channels] */
    const float *grad;    /* of the result: [batch, out_height, out_width, channels] */
    float *result;        /* [batch, out_height, out_width, channels], or a gradient, like what it is of */
} arguments;

/* Output positions 0 ≤ o < length whose tap `tap` reads within the map: o·stride - padding + tap in [0, from). */
typedef struct {
    long first, last;
} range;

static inline range outputs_of(long tap, long stride, long padding, long from, long length) {
    long before = padding - tap, after = from - 1 + padding - tap;
    long first = before > 0 ? (before + stride - 1) / stride : 0;
    long last = after < 0 ? 0 : after / stride + 1;
    return (range){first, last < length ? last : length};
}

#endif
