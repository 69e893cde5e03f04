/* Which outputs belong to a source pixel: output y to floor(y·length / out_length), for any sizes. */
#ifndef DENSEUP_SIZES_H
#define DENSEUP_SIZES_H

/* First output index of a source index. */
static inline long first_output(long source, long length, long out_length) {
    return (source * out_length + length - 1) / length;
}

#endif
