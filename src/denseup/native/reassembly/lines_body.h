/* The gradient of the kernels where every source pixel has one output pixel, for the kernel sizes of LINE_SIZES; included by
 * reassembly_body.h.
 *
 * The lanes are neighbouring pixels, and a product with one tap is a lane's own: nothing has to be added across lanes, and
 * any number of channels does. The rows are packed channel by channel, those of the key into a ring; the K² vectors of
 * products are transposed in the end.
 */

/* A row of the map, channel by channel: pixel x of channel c goes to to[c · stride + x]. What lies up to `end`, the end of
 * the map, may be read. */
static void FN(pack_planes)(const T *from, long pixels, long channels, const T *end, float *to, long stride) {
    for (long x = 0; x < pixels; x += V)
        for (long c = 0; c < channels; c += V) {
            vf square[V];
            int some = channels - c < V ? (int)(channels - c) : V;
            for (int n = 0; n < V; n++) {
                const T *p = from + (x + n) * channels + c;
                if (x + n >= pixels) square[n] = (vf){0};
                else square[n] = p + V <= end ? LOAD(p) : FN(load_some)(p, some);
            }
            NAME(transpose)(square);
            for (int n = 0; n < some; n++) NAME(store_float)(to + (c + n) * stride + x, square[n]);
        }
}

/* Products of V neighbouring pixels with their windows, in one group: those of pixel n at out[n]. `query` is the first of
 * these pixels in the packed row, rows[i] the first tap of its window's row i. */
INLINE void FN(line_products)(
    const float *query, long query_stride, const float *const *rows, long stride, long channels, int kernel_size,
    int rows_at_once, int count, float *const *out
) {
    vf all[MAX_LINE_TAPS + V];
    for (int i = 0; i < kernel_size; i += rows_at_once) {
        vf sums[LINE_ROWS][MAX_LINE_SIZE];
        UNROLLED for (int r = 0; r < rows_at_once; r++)
            UNROLLED for (int j = 0; j < kernel_size; j++) sums[r][j] = (vf){0};
        for (long c = 0; c < channels; c++) {
            vf q = NAME(load_float)(query + c * query_stride);
            UNROLLED for (int r = 0; r < rows_at_once; r++)
                UNROLLED for (int j = 0; j < kernel_size; j++)
                    sums[r][j] += q * NAME(load_float)(rows[i + r] + c * stride + j);
        }
        UNROLLED for (int r = 0; r < rows_at_once; r++)
            UNROLLED for (int j = 0; j < kernel_size; j++) all[(i + r) * kernel_size + j] = sums[r][j];
    }
    int taps = kernel_size * kernel_size;
    for (int t = taps; t % V; t++) all[t] = (vf){0};
    for (int t = 0; t < taps; t += V) {
        NAME(transpose)(all + t);
        for (int n = 0; n < count; n++)
            if (t + V <= taps) NAME(store_float)(out[n] + t, all[t + n]);
            else __builtin_memcpy(out[n] + t, &all[t + n], taps % V * sizeof(float));
    }
}

static void FN(line_products_any)(
    const float *query, long query_stride, const float *const *rows, long stride, long channels, int kernel_size, int count,
    float *const *out
) {
#define PRODUCTS(K, ROWS) FN(line_products)(query, query_stride, rows, stride, channels, K, ROWS, count, out)
    switch (kernel_size) {
    case 3: PRODUCTS(3, 3); break;
    case 5: PRODUCTS(5, 1); break;
    case 7: PRODUCTS(7, 1); break;
    default: PRODUCTS(9, 1);
    }
#undef PRODUCTS
}

/* Where the packed rows of a band lie: floats of a channel's row of the key, which has K - 1 columns more, and of the query. */
INLINE long FN(key_stride)(const geometry *s) { return (s->width + s->kernel_size - 1 + V - 1) / V * V + V; }

INLINE long FN(query_stride)(const geometry *s) { return (s->width + V - 1) / V * V + V; }

/* For each V pixels of a row of a band, and each group, their products; with `logits` the gradients through softmax of them. */
static void FN(lines_of_band)(const arguments *a, const band *b, const float *logits) {
    const geometry *s = &a->shape;
    long K = s->kernel_size, radius = K / 2, C = s->channels, per_group = C / s->groups, taps = K * K;
    long stride = FN(key_stride)(s), query_stride = FN(query_stride)(s), all = s->height * s->width;
    const T *low = (const T *)a->low + b->image * all * C, *high = (const T *)a->high + b->image * all * C;
    const T *end = (const T *)a->low + s->batch * all * C, *high_end = (const T *)a->high + s->batch * all * C;
    float *query = b->ring + K * C * stride, weights[MAX_LINE_TAPS + V] = {0}, products[V][MAX_LINE_TAPS + V] = {{0}};
    __builtin_memset(b->ring, 0, K * C * stride * sizeof(float));
    for (long y = b->first - radius; y < b->last + radius; y++) {
        float *slot = b->ring + (y + K) % K * C * stride;
        if (y >= 0 && y < s->height) {
            /* beyond the pixels whole vectors are written: zeros, which belong there */
            FN(pack_planes)(low + y * s->width * C, s->width, C, end, slot + radius, stride);
        } else {
            __builtin_memset(slot, 0, C * stride * sizeof(float));
        }
        long row = y - radius;
        if (row < b->first) continue;
        FN(pack_planes)(high + row * s->width * C, s->width, C, high_end, query, query_stride);
        for (long x = 0; x < s->width; x += V)
            for (long g = 0; g < s->groups; g++) {
                const float *rows[MAX_KERNEL_SIZE];
                float *out[V];
                int count = s->width - x < V ? (int)(s->width - x) : V;
                long at = ((b->image * all + row * s->width + x) * s->groups + g) * taps, next = s->groups * taps;
                for (long i = 0; i < K; i++)
                    rows[i] = b->ring + ((row - radius + i + K) % K * C + g * per_group) * stride + x;
                for (int n = 0; n < count; n++) out[n] = logits ? products[n] : a->grad_kernels + at + n * next;
                FN(line_products_any)
                (query + g * per_group * query_stride + x, query_stride, rows, stride, per_group, (int)K, count, out);
                for (int n = 0; n < count && logits; n++, at += next) {
                    NAME(softmax)(logits + at, weights, (int)taps);
                    FN(softmax_gradient)(weights, products[n], (int)taps, 0.0f, a->scaled + at, a->grad_kernels + at);
                }
            }
    }
}

INLINE int FN(open_lines)(band *b, arguments *a, long item) {
    const geometry *s = &a->shape;
    long ring = s->channels * (s->kernel_size * FN(key_stride)(s) + FN(query_stride)(s));
    return open_band(b, a, item, ring, 0);
}

static void FN(similarity_lines)(void *context, long item) {
    band b;
    if (!FN(open_lines)(&b, context, item)) return;
    FN(lines_of_band)(context, &b, 0);
    close_band(&b);
}

/* Without a gate. */
static void FN(fused_backward_lines)(void *context, long item) {
    band b;
    if (!FN(open_lines)(&b, context, item)) return;
    FN(lines_of_band)(context, &b, ((const arguments *)context)->kernels);
    close_band(&b);
}
