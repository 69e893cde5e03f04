/* Integer rules of sizes. An output y belongs to source pixel floor(y·length / out_length), for any sizes. */
#ifndef DENSEUP_SIZES_H
#define DENSEUP_SIZES_H

/* Quotient, rounded up. */
static inline long divided_up(long count, long by) { return (count + by - 1) / by; }

/* First output index of a source index. */
static inline long first_output(long source, long length, long out_length) {
    return divided_up(source * out_length, length);
}

#endif
