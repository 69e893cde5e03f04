/* The kernel of turning.c for one instruction set. */

/* What lies first and last in the two vectors, alternating. */
INLINE vf NAME(first_halves)(vf a, vf b) {
#if V == 16
    return __builtin_shufflevector(a, b, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
#elif V == 8
    return __builtin_shufflevector(a, b, 0, 8, 1, 9, 2, 10, 3, 11);
#else
    return __builtin_shufflevector(a, b, 0, 4, 1, 5);
#endif
}

INLINE vf NAME(last_halves)(vf a, vf b) {
#if V == 16
    return __builtin_shufflevector(a, b, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
#elif V == 8
    return __builtin_shufflevector(a, b, 4, 12, 5, 13, 6, 14, 7, 15);
#else
    return __builtin_shufflevector(a, b, 2, 6, 3, 7);
#endif
}

/* V rows of V columns, in registers: each round deals the rows' halves like cards, log₂ V rounds turn them. */
INLINE void NAME(turn_square)(const float *from, long columns, float *to, long rows, int past_caches) {
    vf x[V], y[V];
    UNROLLED for (int k = 0; k < V; k++) x[k] = NAME(load_float)(from + k * columns);
    UNROLLED for (int length = V; length > 1; length /= 2) {
        UNROLLED for (int k = 0; k < V / 2; k++) {
            y[2 * k] = NAME(first_halves)(x[k], x[k + V / 2]);
            y[2 * k + 1] = NAME(last_halves)(x[k], x[k + V / 2]);
        }
        UNROLLED for (int k = 0; k < V; k++) x[k] = y[k];
    }
    UNROLLED for (int k = 0; k < V; k++) {
        if (past_caches) NAME(stream)(to + k * rows, x[k]);
        else NAME(store_float)(to + k * rows, x[k]);
    }
}

INLINE void NAME(turn_block)(const float *from, long columns, float *to, long rows, int past_caches) {
    for (int i = 0; i < BLOCK; i += V)
        for (int j = 0; j < BLOCK; j += V)
            NAME(turn_square)(from + i * columns + j, columns, to + j * rows + i, rows, past_caches);
}

/* Rows first_row … last_row - 1 and columns likewise of one image. What is left beside whole blocks is in a last one that
 * overlaps the one before it. */
INLINE void NAME(turn_range)(
    const arguments *a, const float *from, float *to, long first_row, long last_row, long first_column, long last_column,
    int past_caches
) {
    long R = a->shape.rows, C = a->shape.columns;
    if (last_row - first_row < FEW || last_column - first_column < FEW) {
        if (a->by_row)
            for (long i = first_row; i < last_row; i++)
                for (long j = first_column; j < last_column; j++) to[j * R + i] = from[i * C + j];
        else
            for (long j = first_column; j < last_column; j++)
                for (long i = first_row; i < last_row; i++) to[j * R + i] = from[i * C + j];
        return;
    }
    long outer_first = a->by_row ? first_row : first_column, outer_last = a->by_row ? last_row : last_column;
    long inner_first = a->by_row ? first_column : first_row, inner_last = a->by_row ? last_column : last_row;
    long length = a->by_row ? BAND : BLOCK;
    for (long band = outer_first; band < outer_last; band += length) {
        long band_last = band + length < outer_last ? band + length : outer_last;
        for (long inner = inner_first; inner < inner_last; inner += BLOCK) {
            long n = inner + BLOCK <= inner_last ? inner : inner_last - BLOCK;
            for (long outer = band; outer < band_last; outer += BLOCK) {
                long o = outer + BLOCK <= outer_last ? outer : outer_last - BLOCK;
                long i = a->by_row ? o : n, j = a->by_row ? n : o;
                if (!a->by_row)
                    UNROLLED for (int k = 0; k < BLOCK; k++) __builtin_prefetch(from + (i + k) * C + j + AHEAD, 0, 2);
                NAME(turn_block)(from + i * C + j, C, to + j * R + i, R, past_caches);
            }
        }
    }
}

static void NAME(turn)(void *context, long item) {
    const arguments *a = context;
    long R = a->shape.rows, C = a->shape.columns, image = item / a->parts, part = item % a->parts;
    long length = a->by_row ? R : C, first = part * PER_ITEM;
    long last = part + 1 == a->parts ? length : first + PER_ITEM;
    const float *from = a->from + image * R * C;
    float *to = a->to + image * R * C;
    long rows[2] = {a->by_row ? first : 0, a->by_row ? last : R};
    long columns[2] = {a->by_row ? 0 : first, a->by_row ? C : last};
    if (a->past_caches) {
        NAME(turn_range)(a, from, to, rows[0], rows[1], columns[0], columns[1], 1);
        NAME(streamed)();
    } else {
        NAME(turn_range)(a, from, to, rows[0], rows[1], columns[0], columns[1], 0);
    }
}
