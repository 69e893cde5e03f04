/* What the kernels of encoding.c share between instruction sets. All maps are channels-last and dense. */
#ifndef DENSEUP_ENCODING_H
#define DENSEUP_ENCODING_H

#include "common/lanes.h"
#include "common/sizes.h"

#include <stdlib.h>

#define TILES 24
#define GRADIENT_TILES 64

static inline long in_lanes(long channels) { return divided_up(channels, LANES) * LANES; }

typedef struct {
    long batch, height, width;
    long channels; /* of what is read and convolved */
    long outputs;  /* of what comes out */
} map_shape;

/* A convolution of a map, or a part of the gradient of its weights. */
typedef struct {
    map_shape shape;
    const float *map;   /* [batch, height, width, channels] */
    const float *zeros; /* as many as channels or outputs, whichever are more */
    long tiles, tiles_per_item;

    const float *transformed; /* weights [16][channels][outputs in lanes] */
    const float *bias;        /* [outputs], or NULL */
    const float *low;         /* is added by nearest neighbour: [batch, low_height, low_width, outputs], or NULL */
    long low_height, low_width;
    float *result; /* [batch, height, width, outputs] */

    const float *grad; /* of the output: [batch, height, width, outputs] */
    float *sums;       /* [items][16][outputs][channels in lanes], of the transformed weights' gradient */
    double *bias_sums; /* [items][outputs] */
    int failed;        /* memory ran out */
} arguments;

typedef struct {
    long image, y, x; /* of its first output pixel */
} tile;

static inline long count_tiles(const map_shape *s) { return s->batch * ((s->height + 1) / 2) * ((s->width + 1) / 2); }

static inline tile tile_at(const map_shape *s, long index) {
    long rows = (s->height + 1) / 2, columns = (s->width + 1) / 2;
    return (tile){index / (rows * columns), index / columns % rows * 2, index % columns * 2};
}

/* Index of a pixel of the tile's image, -1 outside it. */
static inline long pixel_at(const map_shape *s, tile t, long dy, long dx) {
    long y = t.y + dy, x = t.x + dx;
    return y < 0 || y >= s->height || x < 0 || x >= s->width ? -1 : (t.image * s->height + y) * s->width + x;
}

/* Where `channels` values of the size × size pixels from dy, dx of the tile on lie: zeros outside the image. */
static inline void find_pixels(const map_shape *s, tile t, int size, long from, const float *map, long channels,
                               const float *zeros, const float **pixels) {
    long y = t.y + from, x = t.x + from;
    if (y >= 0 && x >= 0 && y + size <= s->height && x + size <= s->width) {
        const float *first = map + ((t.image * s->height + y) * s->width + x) * channels;
        for (int k = 0; k < size * size; k++) pixels[k] = first + (k / size * s->width + k % size) * channels;
        return;
    }
    for (int k = 0; k < size * size; k++) {
        long index = pixel_at(s, t, from + k / size, from + k % size);
        pixels[k] = index < 0 ? zeros : map + index * channels;
    }
}

#endif
