/* What the kernels of turning.c share between instruction sets. */
#ifndef DENSEUP_TURNING_H
#define DENSEUP_TURNING_H

#include <string.h>

#define BLOCK 16     /* rows and columns that are turned at once: a cache line of each */
#define FEW 16       /* rows or columns below this are not worth vectors */
#define BAND 64      /* rows of a band, whose columns are gone through before the next: a page is written to in stretches */
#define PER_ITEM 256 /* of the longer side */
#define AHEAD 32     /* floats, two lines: which are brought near while a block is turned */

typedef struct {
    long images, rows, columns;
    int threads;
} geometry;

typedef struct {
    geometry shape;
    long parts; /* of each image */
    int by_row, past_caches;
    const float *from; /* [images, rows, columns] */
    float *to;         /* [images, columns, rows] */
} arguments;

#endif
