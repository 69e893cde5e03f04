/* What the kernels of sampling.c share between instruction sets. All maps are channels-last and dense, positions lie by
 * strides of their own. */
#ifndef DENSEUP_SAMPLING_H
#define DENSEUP_SAMPLING_H

#include <stdlib.h>

#define CHUNK 64 /* pixels of a row whose corners are found at once */

typedef struct {
    long batch, height, width; /* of the map that is read */
    long out_height, out_width;
    long channels, groups;
    int zeros; /* what is outside the map: 0, or the nearest border pixel */
    int threads;
} geometry;

/* Positions [batch, 2·groups, out_height, out_width], the columns first, at image·stride + …, in floats. */
typedef struct {
    const float *at;
    long image, channel, row, column;
} positions;

typedef struct {
    geometry shape;
    positions where;
    const float *map;     /* [batch, height, width, channels] */
    const float *grad;    /* of the result: [batch, out_height, out_width, channels] */
    float *result;        /* [batch, out_height, out_width, channels] */
    float *of_map;        /* gradient, zeros at first: [batch, height, width, channels] */
    float *of_where;      /* gradient: [slices, batch, 2·groups, out_height, out_width] */
    const float *nothing; /* zeros [channels], which are read outside the map */
    float *sink;          /* [items, channels], for what is added outside the map */
    long slices;          /* parts of each group's channels */
    long items;           /* of each image; an item has some of the slices of the groups */
} arguments;

/* The four pixels around each position of a chunk, in the order of rows, and how they are weighed. */
typedef struct {
    int pixel[4][CHUNK]; /* in the flat map; -1 outside */
    float down[CHUNK], right[CHUNK]; /* shares of the lower row and of the right column; NaN where the position is */
    float slope_down[CHUNK], slope_right[CHUNK]; /* 0 where the border is read, else 1 */
} corners;

#endif
