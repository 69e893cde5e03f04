/* The kernels for one instruction set and one element type: T with LOAD and STORE.
 *
 * Forward: the MAX_PIXELS output pixels of a source pixel read the same K×K window; BLOCK vectors of channels of all of
 * them stay in registers while the window is read once.
 * Adjoint: every gradient vector that is read goes to the K source pixels of a row that it belongs to; their sums stay in
 * registers, and move on by one as the source column does.
 * Similarity: the products of the output pixels with the K pixels of a window's row stay in registers, one vector each,
 * over all channels; then their lanes are added.
 *
 * Forward and adjoint first pack the rows they need, one block of channels, into a ring of K rows: read in place, rows of
 * 2^n channels lie a power of two apart and push each other out of the caches.
 */
#define FN(name) CAT(NAME(name), SUFFIX)

/* A block of channels: BLOCK whole vectors, or one that has only `rest` channels. */
INLINE vf FN(load_some)(const T *p, int count) {
    T padded[V] = {0};
    __builtin_memcpy(padded, p, count * sizeof(T));
    return LOAD(padded);
}

INLINE void FN(store_some)(T *p, vf v, int count) {
    T padded[V];
    STORE(padded, v);
    __builtin_memcpy(p, padded, count * sizeof(T));
}

INLINE vf FN(get)(const T *p, int rest) { return rest ? FN(load_some)(p, rest) : LOAD(p); }

/* With `stream` past the caches, which only whole vectors of floats can ask for. */
INLINE void FN(put)(T *p, vf v, int rest, int stream) {
    if (rest)
        FN(store_some)(p, v, rest);
    else if (stream && sizeof(T) == sizeof(float))
        NAME(stream)((float *)p, v);
    else
        STORE(p, v);
}

/* Window of a source pixel, cut to the map. */
typedef struct {
    int first_row, last_row, first_column, last_column; /* taps, the last not included */
} FN(window);

INLINE FN(window) FN(window_at)(const geometry *s, long y, long x) {
    long radius = s->kernel_size / 2;
    FN(window) w;
    w.first_row = y < radius ? (int)(radius - y) : 0;
    w.first_column = x < radius ? (int)(radius - x) : 0;
    w.last_row = (int)(s->height - y + radius < s->kernel_size ? s->height - y + radius : s->kernel_size);
    w.last_column = (int)(s->width - x + radius < s->kernel_size ? s->width - x + radius : s->kernel_size);
    return w;
}

/* The next up to MAX_PIXELS output pixels of a source pixel, whose output rows and columns are the two ranges; `at` goes
 * from the first of them to the end. */
typedef struct {
    long row, column;
} FN(position);

INLINE int FN(next_pixels)(const long *rows, const long *columns, long out_width, FN(position) *at, long *pixels) {
    int count = 0;
    while (count < MAX_PIXELS && at->row < rows[1]) {
        pixels[count++] = at->row * out_width + at->column;
        if (++at->column == columns[1]) {
            at->column = columns[0];
            at->row++;
        }
    }
    return count;
}

/* A row of pixels, `channels` of each, as floats in `lanes` lanes; the lanes beyond are zero. */
INLINE void FN(pack)(const T *from, long stride, long pixels, int channels, int lanes, float *to) {
    if (channels == BLOCK * V) {
        for (long x = 0; x < pixels; x++, from += stride, to += BLOCK * V)
            UNROLLED for (int v = 0; v < BLOCK; v++) NAME(store_float)(to + v * V, LOAD(from + v * V));
        return;
    }
    for (long x = 0; x < pixels; x++, from += stride, to += lanes)
        for (int c = 0; c < lanes; c += V) {
            int some = channels - c < V ? channels - c : 0;
            NAME(store_float)(to + c, c < channels ? FN(get)(from + c, some) : (vf){0});
        }
}

/* Lines that a later source pixel will write and read: they lie too far apart for the processor to foresee. */
INLINE void FN(prefetch)(const T *written, const T *read, long ahead, long lanes) {
    for (long c = 0; c < lanes; c += 64 / (long)sizeof(T)) {
        if (written) __builtin_prefetch(written + ahead + c, 1);
        if (read) __builtin_prefetch(read + ahead + c, 0);
    }
}

/* ---- Forward ---- */

/* rows: the K packed rows of the window, each from its first column on. */
INLINE void FN(reassemble_tile)(
    const float *const *rows, int kernel_size, const float *const *weights, T *const *out, const T *const *en, float gate,
    int stream, int pixels, int block, int rest
) {
    vf sums[MAX_PIXELS][BLOCK];
    UNROLLED for (int n = 0; n < pixels; n++)
        UNROLLED for (int v = 0; v < block; v++) sums[n][v] = (vf){0};
    for (int i = 0; i < kernel_size; i++) {
        for (int j = 0; j < kernel_size; j++) {
            int tap = i * kernel_size + j;
            vf x[BLOCK];
            UNROLLED for (int v = 0; v < block; v++) x[v] = NAME(load_float)(rows[i] + (j * block + v) * V);
            UNROLLED for (int n = 0; n < pixels; n++)
                UNROLLED for (int v = 0; v < block; v++) sums[n][v] += weights[n][tap] * x[v];
        }
    }
    if (en)
        UNROLLED for (int n = 0; n < pixels; n++)
            UNROLLED for (int v = 0; v < block; v++)
                sums[n][v] = gate * FN(get)(en[n] + v * V, rest) + (1.0f - gate) * sums[n][v];
    if (stream)
        UNROLLED for (int n = 0; n < pixels; n++)
            UNROLLED for (int v = 0; v < block; v++) FN(put)(out[n] + v * V, sums[n][v], rest, 1);
    else
        UNROLLED for (int n = 0; n < pixels; n++)
            UNROLLED for (int v = 0; v < block; v++) FN(put)(out[n] + v * V, sums[n][v], rest, 0);
}

/* Constant arguments, so that the loops over pixels and vectors unroll into registers. */
static void FN(reassemble_any)(
    const float *const *rows, int kernel_size, const float *const *weights, T *const *out, const T *const *en, float gate,
    int stream, int pixels, int block, int rest
) {
#define TILE(K, P, B, R) FN(reassemble_tile)(rows, K, weights, out, en, gate, stream, P, B, R)
#define PIXELS(K, B, R)                   \
    if (pixels == 4) TILE(K, 4, B, R);    \
    else if (pixels == 3) TILE(K, 3, B, R); \
    else if (pixels == 2) TILE(K, 2, B, R); \
    else TILE(K, 1, B, R)
    if (block == BLOCK && kernel_size == 5 && pixels == 4) {
        TILE(5, 4, BLOCK, 0);
    } else if (block == BLOCK && kernel_size == 3 && pixels == 4) {
        TILE(3, 4, BLOCK, 0);
    } else if (block == BLOCK) {
        PIXELS(kernel_size, BLOCK, 0);
    } else {
        PIXELS(kernel_size, 1, rest);
    }
#undef TILE
#undef PIXELS
}

/* Where every source pixel has one output pixel, neighbouring ones share most of their windows: some of them stay in
 * registers, and a vector that is read goes to all of whose window it is. rows: the K packed rows of the window of the first pixel, each from its first column on. */
INLINE void FN(line_tile)(
    const float *const *rows, int kernel_size, const float *weights, long next_weights, T *out, const T *en,
    const float *gate, long channels, int stream, int pixels, int block, int rest
) {
    vf sums[LINE][BLOCK];
    UNROLLED for (int n = 0; n < pixels; n++)
        UNROLLED for (int v = 0; v < block; v++) sums[n][v] = (vf){0};
    for (int i = 0; i < kernel_size; i++)
        UNROLLED for (int u = 0; u < kernel_size + pixels - 1; u++) {
            vf x[BLOCK];
            UNROLLED for (int v = 0; v < block; v++) x[v] = NAME(load_float)(rows[i] + (u * block + v) * V);
            UNROLLED for (int n = 0; n < pixels; n++) {
                if (u < n || u - n >= kernel_size) continue;
                float weight = weights[n * next_weights + i * kernel_size + u - n];
                UNROLLED for (int v = 0; v < block; v++) sums[n][v] += weight * x[v];
            }
        }
    if (en)
        UNROLLED for (int n = 0; n < pixels; n++)
            UNROLLED for (int v = 0; v < block; v++)
                sums[n][v] = gate[n] * FN(get)(en + n * channels + v * V, rest) + (1.0f - gate[n]) * sums[n][v];
    UNROLLED for (int n = 0; n < pixels; n++)
        UNROLLED for (int v = 0; v < block; v++) FN(put)(out + n * channels + v * V, sums[n][v], rest, stream);
}

/* A whole row. */
INLINE void FN(line_of)(
    const arguments *a, const float *const *rows, int kernel_size, const float *weights, T *out, const T *en,
    const float *gate, int block, int rest
) {
    const geometry *s = &a->shape;
    long next_weights = s->groups * kernel_size * kernel_size, C = s->channels, x = 0;
    const float *from[MAX_KERNEL_SIZE];
    for (int i = 0; i < kernel_size; i++) from[i] = rows[i];
#define TILES_OF(PIXELS)                                                                                       \
    for (; x + PIXELS <= s->width; x += PIXELS) {                                                              \
        FN(prefetch)(0, en ? en + x * C : 0, PIXELS * C, block * V);                                           \
        FN(line_tile)                                                                                          \
        (from, kernel_size, weights + x * next_weights, next_weights, out + x * C, en ? en + x * C : 0,        \
         gate ? gate + x : 0, C, a->stream, PIXELS, block, rest);                                              \
        for (int i = 0; i < kernel_size; i++) from[i] += PIXELS * block * V;                                   \
    }
    if (block == 1) {
        TILES_OF(LINE)
    }
    TILES_OF(4)
    TILES_OF(1)
#undef TILES_OF
}

static void FN(line)(
    const arguments *a, const float *const *rows, const float *weights, T *out, const T *en, const float *gate, int block,
    int rest
) {
    switch (a->shape.kernel_size) {
#define CASE(K)                                                                       \
    case K:                                                                           \
        if (block == BLOCK) FN(line_of)(a, rows, K, weights, out, en, gate, BLOCK, 0); \
        else FN(line_of)(a, rows, K, weights, out, en, gate, 1, rest);                 \
        break;
        LINE_SIZES(CASE)
#undef CASE
    }
}

/* One block of channels of the rows of a band. */
static void FN(reassemble_block)(
    const arguments *a, const band *b, const float *kernels, long channel, int block, int rest
) {
    const geometry *s = &a->shape;
    long radius = s->kernel_size / 2, C = s->channels, taps = s->kernel_size * s->kernel_size;
    long g = channel / (C / s->groups), lanes = block * V, row_length = (s->width + 2 * radius) * lanes;
    const T *low = (const T *)a->low + b->image * s->height * s->width * C + channel;
    const T *en = a->en ? (const T *)a->en + b->image * s->out_height * s->out_width * C + channel : 0;
    T *high = (T *)a->result + b->image * s->out_height * s->out_width * C + channel;
    __builtin_memset(b->ring, 0, s->kernel_size * row_length * sizeof(float));
    for (long y = b->first - radius; y < b->last + radius; y++) {
        /* slot of a row: its index modulo K; the rows outside the map are zero */
        float *slot = b->ring + (y + s->kernel_size) % s->kernel_size * row_length;
        if (y >= 0 && y < s->height)
            FN(pack)(low + y * s->width * C, C, s->width, rest ? rest : (int)lanes, (int)lanes, slot + radius * lanes);
        else
            __builtin_memset(slot, 0, row_length * sizeof(float));
        long source = y - radius;
        if (source < b->first) continue;
        const float *rows[MAX_KERNEL_SIZE];
        long out_rows[2] = {first_output(source, s->height, s->out_height), first_output(source + 1, s->height, s->out_height)};
        for (long i = 0; i < s->kernel_size; i++)
            rows[i] = b->ring + (source - radius + i + s->kernel_size) % s->kernel_size * row_length;
        if (a->lines) {
            long first = source * s->width;
            const float *gates = a->gate ? a->gate + b->image * s->height * s->width + first : 0;
            FN(line)
            (a, rows, kernels + (first * s->groups + g) * taps, high + first * C, en ? en + first * C : 0, gates, block, rest);
            continue;
        }
        const T *next_row = y + 1 < s->height ? low + (y + 1) * s->width * C : 0; /* will be packed after this one */
        for (long x = 0; x < s->width; x++) {
            FN(prefetch)(0, next_row, x * C, lanes);
            float gate = a->gate ? a->gate[(b->image * s->height + source) * s->width + x] : 0.0f;
            long ahead = PREFETCH_PIXELS * (b->columns[x + 1] - b->columns[x]) * C;
            FN(position) at = {out_rows[0], b->columns[x]};
            long pixels[MAX_PIXELS];
            int count;
            while ((count = FN(next_pixels)(out_rows, b->columns + x, s->out_width, &at, pixels))) {
                const float *weights[MAX_PIXELS];
                const T *guides[MAX_PIXELS];
                T *out[MAX_PIXELS];
                for (int n = 0; n < count; n++) {
                    weights[n] = kernels + (pixels[n] * s->groups + g) * taps;
                    out[n] = high + pixels[n] * C;
                    guides[n] = en ? en + pixels[n] * C : 0;
                    FN(prefetch)(a->stream ? 0 : out[n], guides[n], ahead, lanes);
                }
                FN(reassemble_any)
                (rows, (int)s->kernel_size, weights, out, en ? guides : 0, gate, a->stream, count, block, rest);
            }
            for (long i = 0; i < s->kernel_size; i++) rows[i] += lanes;
        }
    }
}

static void FN(reassemble_rows)(void *context, long item) {
    arguments *a = context;
    const geometry *s = &a->shape;
    long taps = s->kernel_size * s->kernel_size, per_group = s->channels / s->groups;
    band b;
    if (!open_band(&b, a, item, BLOCK * V * s->kernel_size * (s->width + s->kernel_size), a->normalize)) return;
    const float *kernels = a->kernels + b.image * s->out_height * s->out_width * s->groups * taps;
    if (a->normalize) {
        long before = first_output(b.first, s->height, s->out_height) * s->out_width * s->groups;
        long count = first_output(b.last, s->height, s->out_height) * s->out_width * s->groups - before;
        for (long k = 0; k < count; k++)
            NAME(softmax)(kernels + (before + k) * taps, b.kernels + k * taps, (int)taps);
        kernels = b.kernels - before * taps;
    }
    for (long g = 0; g < s->groups; g++)
        for (long c = 0; c < per_group;) {
            int block = per_group - c >= BLOCK * V ? BLOCK : 1;
            int rest = per_group - c < V ? (int)(per_group - c) : 0;
            FN(reassemble_block)(a, &b, kernels, g * per_group + c, block, rest);
            c += rest ? rest : block * V;
        }
    NAME(streamed)();
    close_band(&b);
}

/* ---- Gradient of the features ---- */

/* One source column: its gradient vectors, each added to the K sums of the source pixels that read it. */
INLINE void FN(adjoint_column)(
    vf sums[][ADJOINT_BLOCK], const geometry *s, const float *packed, const float *kernels, long row, long next_row,
    long column, long next_column, int kernel_size, int block
) {
    long taps = s->groups * kernel_size * kernel_size, lanes = block * V;
    for (long y = 0; y < next_row - row; y++) {
        const float *p = packed + (y * s->out_width + column) * lanes;
        const float *weights = kernels + ((row + y) * s->out_width + column) * taps;
        for (long x = column; x < next_column; x++, p += lanes, weights += taps) {
            vf grad[ADJOINT_BLOCK];
            UNROLLED for (int v = 0; v < block; v++) grad[v] = NAME(load_float)(p + v * V);
            UNROLLED for (int j = 0; j < kernel_size; j++)
                UNROLLED for (int v = 0; v < block; v++) sums[j][v] += weights[j] * grad[v];
        }
    }
}

/* The gradient of the output that will be packed next: its `rows` rows, one block of channels of them. */
typedef struct {
    const T *first;
    long rows;
} FN(upcoming);

/* Have the pixels of source column x brought near while there is something to compute. */
INLINE void FN(prefetch_upcoming)(const FN(upcoming) *next, const geometry *s, const band *b, long x, long lanes) {
    for (long y = 0; y < next->rows; y++)
        for (long column = b->columns[x]; column < b->columns[x + 1]; column++) {
            const T *p = next->first + (y * s->out_width + column) * s->channels;
            for (long c = 0; c < lanes; c += 64 / (long)sizeof(T)) __builtin_prefetch(p + c, 0, 2);
        }
}

/* One row. Sum j is that of source column x + j - radius; the sums move on with x. */
INLINE void FN(adjoint_tile)(
    const geometry *s, const band *b, const float *const *packed, const FN(upcoming) *next, const float *kernels, T *to,
    long y, int kernel_size, int block, int rest
) {
    long radius = kernel_size / 2;
    long out_rows[MAX_KERNEL_SIZE + 1];
    vf sums[MAX_KERNEL_SIZE][ADJOINT_BLOCK];
    for (int i = 0; i <= kernel_size; i++) {
        long source = y + radius - i + 1; /* out_rows[i + 1] is the first output row of source row y + radius - i */
        out_rows[i] = first_output(source < 0 ? 0 : source > s->height ? s->height : source, s->height, s->out_height);
    }
    UNROLLED for (int j = 0; j < kernel_size; j++)
        UNROLLED for (int v = 0; v < block; v++) sums[j][v] = (vf){0};
    for (long x = 0; x < s->width + radius; x++) {
        if (x < s->width) {
            FN(prefetch_upcoming)(next, s, b, x, block * V);
            for (int i = 0; i < kernel_size; i++)
                FN(adjoint_column)(
                    sums, s, packed[i], kernels + i * kernel_size, out_rows[i + 1], out_rows[i], b->columns[x],
                    b->columns[x + 1], kernel_size, block
                );
        }
        if (x >= radius)
            UNROLLED for (int v = 0; v < block; v++) FN(put)(to + (x - radius) * s->channels + v * V, sums[0][v], rest, 0);
        UNROLLED for (int j = 0; j + 1 < kernel_size; j++)
            UNROLLED for (int v = 0; v < block; v++) sums[j][v] = sums[j + 1][v];
        UNROLLED for (int v = 0; v < block; v++) sums[kernel_size - 1][v] = (vf){0};
    }
}

static void FN(adjoint_any)(
    const geometry *s, const band *b, const float *const *packed, const FN(upcoming) *next, const float *kernels, T *to,
    long y, int block, int rest
) {
#define TILE(K, B, R) FN(adjoint_tile)(s, b, packed, next, kernels, to, y, K, B, R)
    int K = (int)s->kernel_size;
    if (block == ADJOINT_BLOCK && K == 5) TILE(5, ADJOINT_BLOCK, 0);
    else if (block == ADJOINT_BLOCK && K == 3) TILE(3, ADJOINT_BLOCK, 0);
    else if (block == ADJOINT_LESS && !rest && K == 7) TILE(7, ADJOINT_LESS, 0);
    else if (block == ADJOINT_LESS && !rest && K == 9) TILE(9, ADJOINT_LESS, 0);
    else if (block == ADJOINT_BLOCK) TILE(K, ADJOINT_BLOCK, 0);
    else if (K == 5) TILE(5, 1, rest);
    else if (K == 3) TILE(3, 1, rest);
    else if (K == 7) TILE(7, 1, rest);
    else if (K == 9) TILE(9, 1, rest);
    else TILE(K, 1, rest);
#undef TILE
}

/* One block of channels of the rows of a band. */
static void FN(adjoint_block)(const arguments *a, const band *b, long channel, int block, int rest) {
    const geometry *s = &a->shape;
    long K = s->kernel_size, radius = K / 2, C = s->channels, g = channel / (C / s->groups), lanes = block * V;
    long slot_length = b->rows_per_source * s->out_width * lanes, taps = K * K;
    const T *high = (const T *)a->high + b->image * s->out_height * s->out_width * C + channel;
    const float *kernels = a->kernels + (b->image * s->out_height * s->out_width * s->groups + g) * taps;
    for (long y = b->first - radius; y < b->last + radius; y++) {
        /* slot of a source row: its index modulo K; rows outside the map have no output rows */
        if (y >= 0 && y < s->height) {
            float *slot = b->ring + y % K * slot_length;
            long row = first_output(y, s->height, s->out_height), next = first_output(y + 1, s->height, s->out_height);
            FN(pack)
            (high + row * s->out_width * C, C, (next - row) * s->out_width, rest ? rest : (int)lanes, (int)lanes, slot);
        }
        long target = y - radius;
        if (target < b->first) continue;
        const float *packed[MAX_KERNEL_SIZE];
        for (long i = 0; i < K; i++) packed[i] = b->ring + (target + radius - i + K) % K * slot_length;
        T *to = (T *)a->result + (b->image * s->height + target) * s->width * C + channel;
        FN(upcoming) next = {0, 0};
        if (y + 1 < s->height && y + 1 < b->last + radius) {
            long row = first_output(y + 1, s->height, s->out_height);
            next.first = high + row * s->out_width * C;
            next.rows = first_output(y + 2, s->height, s->out_height) - row;
        }
        FN(adjoint_any)(s, b, packed, &next, kernels, to, target, block, rest);
    }
}

static void FN(adjoint_rows)(void *context, long item) {
    arguments *a = context;
    const geometry *s = &a->shape;
    long per_group = s->channels / s->groups, full = ADJOINT_BLOCK * V, blocks = (per_group + full - 1) / full;
    long first = item % blocks * full, g = item / blocks % s->groups;
    long end = first + full < per_group ? first + full : per_group;
    long rows = (s->out_height + s->height - 1) / s->height;
    band b;
    if (!open_band(&b, a, item / (blocks * s->groups), full * s->kernel_size * rows * s->out_width, 0)) return;
    for (long c = first; c < end;) {
        int most = s->kernel_size == 7 || s->kernel_size == 9 ? ADJOINT_LESS : ADJOINT_BLOCK;
        int block = end - c >= most * V ? most : 1;
        int rest = end - c < V ? (int)(end - c) : 0;
        FN(adjoint_block)(a, &b, g * per_group + c, block, rest);
        c += rest ? rest : block * V;
    }
    close_band(&b);
}

/* ---- Gradient of the kernels ---- */

/* What the gate asks of the gradient (the query) of up to MAX_PIXELS output pixels. */
typedef struct {
    const T *en[MAX_PIXELS];
    T *grad_en[MAX_PIXELS]; /* to become gate·query */
    float gate;
    int stream;    /* grad_en is written past the caches */
    float product; /* of query and en, summed over the pixels */
} FN(blending);

/* One vector of the n-th pixel, from channel c on: its share of the product is given back. */
INLINE vf FN(blend_vector)(const FN(blending) *blend, int n, long c, vf query, int rest) {
    FN(put)(blend->grad_en[n] + c, blend->gate * query, rest, blend->stream);
    return FN(get)(blend->en[n] + c, rest) * query;
}

/* A pixel of the query and of the encoder feature that a later source pixel will read, or NULL: a line of each is brought
 * near with every vector of the products. All lines at once would hold up what the products themselves read. */
typedef struct {
    const T *query, *en;
} FN(later);

/* Products of up to MAX_PIXELS query pixels with `span` neighbouring keys: out[n][j]. With `blend` the query is blended in
 * passing: what that moves to and from memory comes in between the products. */
INLINE void FN(similarity_tile)(
    const T *const *query, const T *key, long column_stride, long channels, float *const *out, FN(blending) *blend,
    FN(later) later, int pixels, int span
) {
    vf sums[MAX_PIXELS][SPAN], of_gate[MAX_PIXELS];
    UNROLLED for (int n = 0; n < MAX_PIXELS; n++) of_gate[n] = (vf){0};
    UNROLLED for (int n = 0; n < MAX_PIXELS; n++)
        UNROLLED for (int j = 0; j < span; j++) sums[n][j] = (vf){0};
    long c = 0;
    for (; c + V <= channels; c += V) {
        vf q[MAX_PIXELS];
        if (later.query) __builtin_prefetch(later.query + c, 0, 2);
        if (later.en) __builtin_prefetch(later.en + c, 0, 2);
        UNROLLED for (int n = 0; n < pixels; n++) q[n] = LOAD(query[n] + c);
        UNROLLED for (int n = 0; n < pixels && blend; n++) of_gate[n] += FN(blend_vector)(blend, n, c, q[n], 0);
        UNROLLED for (int j = 0; j < span; j++) {
            vf k = LOAD(key + j * column_stride + c);
            UNROLLED for (int n = 0; n < pixels; n++) sums[n][j] += q[n] * k;
        }
    }
    if (c < channels) {
        int rest = (int)(channels - c);
        UNROLLED for (int n = 0; n < pixels && blend; n++)
            of_gate[n] += FN(blend_vector)(blend, n, c, FN(load_some)(query[n] + c, rest), rest);
        UNROLLED for (int j = 0; j < span; j++) {
            vf k = FN(load_some)(key + j * column_stride + c, rest);
            UNROLLED for (int n = 0; n < pixels; n++) sums[n][j] += FN(load_some)(query[n] + c, rest) * k;
        }
    }
    if (blend) blend->product += NAME(sum)((of_gate[0] + of_gate[1]) + (of_gate[2] + of_gate[3]));
    UNROLLED for (int j = 0; j < span; j++) {
        v4 of_pixels = NAME(sums)(sums[0][j], sums[1][j], sums[2][j], sums[3][j]);
        UNROLLED for (int n = 0; n < pixels; n++) out[n][j] = of_pixels[n];
    }
}

static void FN(similarity_any)(
    const T *const *query, const T *key, long column_stride, long channels, float *const *out, FN(later) later, int pixels,
    int span
) {
#define TILE(P, S) FN(similarity_tile)(query, key, column_stride, channels, out, 0, later, P, S)
    if (pixels == 4 && span == 5) TILE(4, 5);
    else if (pixels == 4 && span == 3) TILE(4, 3);
    else if (pixels == 2 && span == 5) TILE(2, 5);
    else if (pixels == 1 && span == 5) TILE(1, 5);
    else
        for (int j = 0; j < span; j++) {
            float *one[MAX_PIXELS];
            for (int n = 0; n < pixels; n++) one[n] = out[n] + j;
            const T *one_key = key + j * column_stride;
            if (pixels == 4) FN(similarity_tile)(query, one_key, column_stride, channels, one, 0, later, 4, 1);
            else FN(similarity_tile)(query, one_key, column_stride, channels, one, 0, later, pixels, 1);
        }
#undef TILE
}

static void FN(similarity_blended)(
    const T *const *query, const T *key, long column_stride, long channels, float *const *out, FN(blending) *blend,
    FN(later) later
) {
    FN(similarity_tile)(query, key, column_stride, channels, out, blend, later, 4, 5);
}

/* What the gate asks for, on its own. */
static void FN(blend_alone)(const T *const *query, long channels, FN(blending) *blend, int pixels) {
    vf sums = {0};
    for (int n = 0; n < pixels; n++)
        for (long c = 0; c < channels; c += V) {
            int rest = channels - c < V ? (int)(channels - c) : 0;
            sums += FN(blend_vector)(blend, n, c, FN(get)(query[n] + c, rest), rest);
        }
    blend->product += NAME(sum)(sums);
}

/* What the similarity with a neighbour outside the map is: zero, but NaN for a query that holds one, or an infinite value. */
static void FN(similarity_with_nothing)(const T *query, long channels, float *out, long taps) {
    vf sums = {0};
    for (long c = 0; c < channels; c += V) sums += 0.0f * FN(get)(query + c, channels - c < V ? (int)(channels - c) : 0);
    float nothing = NAME(sum)(sums);
    for (long t = 0; t < taps; t++) out[t] = nothing;
}

/* All K² similarities of up to MAX_PIXELS pixels of one source pixel, in one group; zero outside the map. `blend` may be
 * NULL. The pixels of a later source pixel lie `ahead` further on: each row of the window brings one of them near. */
static void FN(similarities)(
    const geometry *s, const T *const *query, const T *window, FN(window) w, float *const *out, FN(blending) *blend,
    long ahead, int pixels
) {
    int K = (int)s->kernel_size;
    long per_group = s->channels / s->groups;
    int whole = w.last_row - w.first_row == K && w.last_column - w.first_column == K;
    for (int n = 0; n < pixels && !whole; n++) FN(similarity_with_nothing)(query[n], per_group, out[n], K * K);
    int with_first = blend && pixels == 4 && w.last_column - w.first_column >= 5;
    if (blend && !with_first) FN(blend_alone)(query, per_group, blend, pixels);
    for (int i = w.first_row; i < w.last_row; i++)
        for (int j = w.first_column; j < w.last_column;) {
            int left = w.last_column - j, span = left < SPAN ? left : SPAN;
            float *to[MAX_PIXELS];
            for (int n = 0; n < pixels; n++) to[n] = out[n] + i * K + j;
            const T *keys = window + (i * s->width + j) * s->channels;
            int row = i - w.first_row;
            FN(later) later = {0, 0};
            if (row < pixels && j == w.first_column) {
                later.query = query[row] + ahead;
                later.en = blend ? blend->en[row] + ahead : 0;
            }
            if (with_first && i == w.first_row && j == w.first_column)
                FN(similarity_blended)(query, keys, s->channels, per_group, to, blend, later);
            else
                FN(similarity_any)(query, keys, s->channels, per_group, to, later, pixels, span);
            j += span;
        }
}

static void FN(similarity_row)(void *context, long item) {
    const arguments *a = context;
    const geometry *s = &a->shape;
    long image = item / s->height, y = item % s->height;
    long taps = s->kernel_size * s->kernel_size, radius = s->kernel_size / 2, C = s->channels, per_group = C / s->groups;
    long rows[2] = {first_output(y, s->height, s->out_height), first_output(y + 1, s->height, s->out_height)};
    const T *low = (const T *)a->low + image * s->height * s->width * C;
    const T *high = (const T *)a->high + image * s->out_height * s->out_width * C;
    float *to = a->grad_kernels + image * s->out_height * s->out_width * s->groups * taps;
    for (long x = 0; x < s->width; x++) {
        FN(window) w = FN(window_at)(s, y, x);
        long columns[2] = {first_output(x, s->width, s->out_width), first_output(x + 1, s->width, s->out_width)};
        FN(position) at = {rows[0], columns[0]};
        long pixels[MAX_PIXELS];
        int count;
        while ((count = FN(next_pixels)(rows, columns, s->out_width, &at, pixels)))
            for (long g = 0; g < s->groups; g++) {
                const T *query[MAX_PIXELS];
                float *out[MAX_PIXELS];
                for (int n = 0; n < count; n++) {
                    query[n] = high + pixels[n] * C + g * per_group;
                    out[n] = to + (pixels[n] * s->groups + g) * taps;
                }
                const T *window = low + ((y - radius) * s->width + x - radius) * C + g * per_group;
                FN(similarities)(s, query, window, w, out, 0, PREFETCH_PIXELS * (columns[1] - columns[0]) * C, count);
            }
    }
}

/* Of one pixel, whose kernels have the gradient `products`: what they are scaled by 1 - gate, and the gradient of the
 * logits. Their mean of the products is given back. Both inputs are followed by V zeros. */
INLINE float FN(softmax_gradient)(
    const float *weights, const float *products, int taps, float gate, float *scaled, float *grad
) {
    vf all = {0};
    for (int t = 0; t < taps; t += V) all += NAME(load_float)(weights + t) * NAME(load_float)(products + t);
    float mean = NAME(sum)(all);
    for (int t = 0; t < taps && taps < V; t++) {
        scaled[t] = (1.0f - gate) * weights[t];
        grad[t] = scaled[t] * (products[t] - mean);
    }
    for (int t = 0; t < taps && taps >= V; t += V) {
        int at = t + V <= taps ? t : taps - V; /* the last vector overlaps the one before it */
        vf some = (1.0f - gate) * NAME(load_float)(weights + at);
        NAME(store_float)(scaled + at, some);
        NAME(store_float)(grad + at, some * (NAME(load_float)(products + at) - mean));
    }
    return mean;
}

/* Of softmax, reassembly and gate: gradients of the logits, of the encoder feature and of the gate, and the kernels
 * times (1 - gate), which the gradient of the features is made of. */
static void FN(fused_backward_row)(void *context, long item) {
    const arguments *a = context;
    const geometry *s = &a->shape;
    long image = item / s->height, y = item % s->height, all = s->out_height * s->out_width;
    int taps = (int)(s->kernel_size * s->kernel_size);
    long radius = s->kernel_size / 2, C = s->channels, per_group = C / s->groups;
    long rows[2] = {first_output(y, s->height, s->out_height), first_output(y + 1, s->height, s->out_height)};
    const T *low = (const T *)a->low + image * s->height * s->width * C;
    const T *high = (const T *)a->high + image * all * C;
    const T *en = a->en ? (const T *)a->en + image * all * C : 0;
    T *grad_en = a->en ? (T *)a->result + image * all * C : 0;
    float weights[MAX_TAPS + V] = {0}, products[MAX_PIXELS][MAX_TAPS + V] = {0};
    for (long x = 0; x < s->width; x++) {
        FN(window) w = FN(window_at)(s, y, x);
        long columns[2] = {first_output(x, s->width, s->out_width), first_output(x + 1, s->width, s->out_width)};
        long cell = (image * s->height + y) * s->width + x, pixels[MAX_PIXELS];
        FN(blending) blend = {.gate = a->gate ? a->gate[cell] : 0.0f, .stream = a->stream};
        FN(position) at = {rows[0], columns[0]};
        int count;
        while ((count = FN(next_pixels)(rows, columns, s->out_width, &at, pixels)))
            for (long g = 0; g < s->groups; g++) {
                float *out[MAX_PIXELS];
                const T *query[MAX_PIXELS];
                for (int n = 0; n < count; n++) {
                    long first = pixels[n] * C + g * per_group;
                    query[n] = high + first;
                    out[n] = products[n];
                    blend.en[n] = en ? en + first : 0;
                    blend.grad_en[n] = en ? grad_en + first : 0;
                }
                const T *window = low + ((y - radius) * s->width + x - radius) * C + g * per_group;
                long ahead = PREFETCH_PIXELS * (columns[1] - columns[0]) * C;
                FN(similarities)(s, query, window, w, out, en ? &blend : 0, ahead, count);
                for (int n = 0; n < count; n++) {
                    long at = ((image * all + pixels[n]) * s->groups + g) * taps;
                    NAME(softmax)(a->kernels + at, weights, taps);
                    blend.product -= FN(softmax_gradient)(
                        weights, products[n], taps, blend.gate, a->scaled + at, a->grad_kernels + at
                    );
                }
            }
        if (a->grad_gate) a->grad_gate[cell] = blend.product;
    }
    NAME(streamed)();
}

#include "reassembly/lines_body.h"

#undef FN
#undef T
#undef LOAD
#undef STORE
#undef SUFFIX
