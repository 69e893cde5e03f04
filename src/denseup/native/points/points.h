/* What the kernels of points.c share between instruction sets. All maps are channels-last and dense; what there is for each
 * point lies by strides of its own. */
#ifndef DENSEUP_POINTS_H
#define DENSEUP_POINTS_H

#include <stdlib.h>

#define RUN 16   /* output pixels of a row that are worked on together: whole vectors, however wide */
#define BLOCK 16 /* points of each of them */
#define LINE 16  /* floats of a cache line */

typedef struct {
    long batch, height, width; /* of the map that is read */
    long out_height, out_width;
    long channels, groups, points;
    int threads;
} geometry;

/* A number for each point at image·stride + …, in floats; of positions the columns, the rows being `axis` further on. */
typedef struct {
    float *at;
    long image, group, point, axis, row, column;
} per_point;

typedef struct {
    geometry shape;
    per_point where, weights;
    const float *map;     /* [batch, height, width, channels] */
    const float *high;    /* query, or gradient of sums: [batch, out_height, out_width, channels] */
    float *of_high;       /* sums, or gradient of the query: as `high`; NULL if it is not wanted */
    float *of_map;        /* gradient, zeros at first: as `map` */
    per_point of_weights; /* products, or gradient of the weights; at NULL if it is not wanted */
    per_point of_where;   /* gradient of the positions */
    const float *nothing; /* zeros [channels], which are read outside the map */
    float *sink;          /* [items, sink_length], for what is added outside the map */
    long sink_length;
    long slices; /* parts of each group's channels */
    long items;  /* of each image; an item has some of the slices of the groups */
} arguments;

/* The four pixels around each point of a run, in the order of rows, and how they are weighed. */
typedef struct {
    int pixel[BLOCK][4][RUN];    /* in the flat map; -1 outside */
    float weight[BLOCK][4][RUN]; /* times the point's own, where it has one; NaN where the position is */
    float down[BLOCK][RUN], right[BLOCK][RUN]; /* shares of the lower row and of the right column; NaN likewise */
    float own[BLOCK][RUN];                     /* the point's weight */
} corners;

#endif
