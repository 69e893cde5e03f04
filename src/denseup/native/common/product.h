/* A product of two matrices of floats, tile by tile in registers, for one instruction set: what the kernels of encoding.c
 * and pointwise.c spend their time on. */
#if V == 16
#define WIDE 4 /* vectors; with WIDE_ROWS or, of two vectors and one, NARROW_ROWS they fill the registers with sums */
#define WIDE_ROWS 6
#define NARROW_ROWS 12
#else
#define WIDE 2
#define WIDE_ROWS 6
#define NARROW_ROWS 12
#endif

/* to[i] = start[i] + Σ_k a[i, k] · b[k], each a row of lanes. */
typedef struct {
    const float *a; /* element i, k at a[i·a_row + k·a_step] */
    long a_row, a_step;
    const float *b; /* row k at b + k·b_step */
    long b_step, steps;
    const float *start; /* row i at start + i·start_row; NULL for zeros */
    long start_row;
    float *to; /* row i at to + i·to_row */
    long to_row;
    long next_a, next_b, next_to; /* how much further on lies what a later product will use, to be brought near; or 0 */
} NAME(product);

/* `rows` rows of `vectors` vectors; these, and whether rows of `b` are to be brought near, are constants. */
INLINE void NAME(multiply_tile)(int rows, int vectors, int near_b, NAME(product) p) {
    vf sums[NARROW_ROWS][WIDE];
    UNROLLED for (int i = 0; i < rows; i++)
        UNROLLED for (int v = 0; v < vectors; v++)
            sums[i][v] = p.start ? NAME(load_float)(p.start + i * p.start_row + v * V) : (vf){0};
    long stretch = p.next_a || p.next_to ? 16 : p.steps; /* a line of every row is brought near before each */
    for (long first = 0; first < p.steps; first += stretch) {
        long last = first + stretch < p.steps ? first + stretch : p.steps;
        if (p.next_a)
            UNROLLED for (int i = 0; i < rows; i++) __builtin_prefetch(p.a + p.next_a + i * p.a_row + first * p.a_step, 0, 2);
        if (p.next_to && first < vectors * V)
            UNROLLED for (int i = 0; i < rows; i++) __builtin_prefetch(p.to + p.next_to + i * p.to_row + first, 1, 2);
        for (long k = first; k < last; k++) {
            vf x[WIDE];
            UNROLLED for (int v = 0; v < vectors; v++) {
                if (near_b) __builtin_prefetch(p.b + p.next_b + k * p.b_step + v * V, 0, 2);
                x[v] = NAME(load_float)(p.b + k * p.b_step + v * V);
            }
            UNROLLED for (int i = 0; i < rows; i++)
                UNROLLED for (int v = 0; v < vectors; v++) sums[i][v] += p.a[i * p.a_row + k * p.a_step] * x[v];
        }
    }
    UNROLLED for (int i = 0; i < rows; i++)
        UNROLLED for (int v = 0; v < vectors; v++) NAME(store_float)(p.to + i * p.to_row + v * V, sums[i][v]);
}

/* Any number of rows, and of lanes in whole vectors. `b` is brought near by the first rows, for all read the same. */
INLINE void NAME(multiply)(long rows, long lanes, NAME(product) whole) {
#define TILES_OF(ROWS, VECTORS)                                               \
    for (; i + ROWS <= rows; i += ROWS) {                                     \
        NAME(product) p = whole;                                              \
        p.a += i * p.a_row;                                                   \
        p.b += lane;                                                          \
        if (p.start) p.start += i * p.start_row + lane;                       \
        p.to += i * p.to_row + lane;                                          \
        if (p.next_b && i == 0) NAME(multiply_tile)(ROWS, VECTORS, 1, p);     \
        else NAME(multiply_tile)(ROWS, VECTORS, 0, p);                        \
    }
#define COLUMNS(ROWS, VECTORS)                                                \
    for (; lane + VECTORS * V <= lanes; lane += VECTORS * V) {                \
        long i = 0;                                                           \
        TILES_OF(ROWS, VECTORS)                                               \
        TILES_OF(1, VECTORS)                                                  \
    }
    long lane = 0;
    COLUMNS(WIDE_ROWS, WIDE)
#if WIDE > 2
    COLUMNS(NARROW_ROWS, 2)
#endif
    COLUMNS(NARROW_ROWS, 1)
#undef COLUMNS
#undef TILES_OF
}

/* Adds rows of lanes, of which row k lies at from + k·row, to sums that are kept in double precision. */
INLINE void NAME(add_rows)(long rows, long lanes, const float *from, long row, double *sums) {
    long lane = 0;
    for (; lane + V <= lanes; lane += V) {
        vf sum = {0};
        for (long k = 0; k < rows; k++) sum += NAME(load_float)(from + k * row + lane);
        for (int n = 0; n < V; n++) sums[lane + n] += sum[n];
    }
    for (; lane < lanes; lane++) {
        float sum = 0;
        for (long k = 0; k < rows; k++) sum += from[k * row + lane];
        sums[lane] += sum;
    }
}

#undef WIDE
#undef WIDE_ROWS
#undef NARROW_ROWS
