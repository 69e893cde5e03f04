/* The kernels of depthwise.c for one instruction set. */

/* Σ over taps of weight times pixel, for all channels of one pixel. Tap k lies at from[k] and weights[k]. */
INLINE void NAME(add_taps)(const float *const *from, const float *const *weights, int taps, float *to, long channels) {
    long c = 0;
    for (; c + ABREAST * V <= channels; c += ABREAST * V) {
        vf sums[ABREAST] = {0};
        for (int k = 0; k < taps; k++)
            UNROLLED for (int v = 0; v < ABREAST; v++)
                sums[v] += NAME(load_float)(weights[k] + c + v * V) * NAME(load_float)(from[k] + c + v * V);
        UNROLLED for (int v = 0; v < ABREAST; v++) NAME(store_float)(to + c + v * V, sums[v]);
    }
    for (; c + V <= channels; c += V) {
        vf sum = {0};
        for (int k = 0; k < taps; k++) sum += NAME(load_float)(weights[k] + c) * NAME(load_float)(from[k] + c);
        NAME(store_float)(to + c, sum);
    }
    for (; c < channels; c++) {
        float sum = 0;
        for (int k = 0; k < taps; k++) sum += weights[k][c] * from[k][c];
        to[c] = sum;
    }
}

/* An item is a row of the result. */
static void NAME(convolve)(void *context, long item) {
    const arguments *a = context;
    const geometry *s = &a->shape;
    long image = item / s->out_height, row = item % s->out_height, K = s->kernel_size, C = s->channels;
    const float *map = a->map + image * s->height * s->width * C;
    const float *all = a->weights + (s->each_image ? image * K * K * C : 0);
    for (long column = 0; column < s->out_width; column++) {
        const float *from[MOST_TAPS * MOST_TAPS], *weights[MOST_TAPS * MOST_TAPS];
        int taps = 0;
        for (long i = 0; i < K; i++) {
            long y = row * s->stride - s->padding + i;
            if (y < 0 || y >= s->height) continue;
            for (long j = 0; j < K; j++) {
                long x = column * s->stride - s->padding + j;
                if (x < 0 || x >= s->width) continue;
                from[taps] = map + (y * s->width + x) * C;
                weights[taps++] = all + (i * K + j) * C;
            }
        }
        NAME(add_taps)(from, weights, taps, a->result + (item * s->out_width + column) * C, C);
    }
}

/* The gradient of the map: an item is one of its rows. */
static void NAME(give_back)(void *context, long item) {
    const arguments *a = context;
    const geometry *s = &a->shape;
    long image = item / s->height, row = item % s->height, K = s->kernel_size, C = s->channels;
    const float *grad = a->grad + image * s->out_height * s->out_width * C;
    const float *all = a->weights + (s->each_image ? image * K * K * C : 0);
    for (long column = 0; column < s->width; column++) {
        const float *from[MOST_TAPS * MOST_TAPS], *weights[MOST_TAPS * MOST_TAPS];
        int taps = 0;
        for (long i = (row + s->padding) % s->stride; i < K; i += s->stride) {
            long y = (row + s->padding - i) / s->stride;
            if (row + s->padding < i || y >= s->out_height) continue;
            for (long j = (column + s->padding) % s->stride; j < K; j += s->stride) {
                long x = (column + s->padding - j) / s->stride;
                if (column + s->padding < j || x >= s->out_width) continue;
                from[taps] = grad + (y * s->out_width + x) * C;
                weights[taps++] = all + (i * K + j) * C;
            }
        }
        NAME(add_taps)(from, weights, taps, a->result + (item * s->width + column) * C, C);
    }
}

/* Adds to the gradients of the K taps of kernel row i what one row of the result gives; a vector of channels. */
INLINE void NAME(weigh_row)(const geometry *s, const float *map, const float *grad, int K, vf *sums) {
    long C = s->channels;
    range whole = {0, s->out_width};
    range of_first = outputs_of(0, s->stride, s->padding, s->width, s->out_width);
    range of_last = outputs_of(K - 1, s->stride, s->padding, s->width, s->out_width);
    whole.first = of_first.first < whole.last ? of_first.first : whole.last;
    whole.last = of_last.last > whole.first ? of_last.last : whole.first;
    UNROLLED for (int j = 0; j < K; j++) {
        range there = outputs_of(j, s->stride, s->padding, s->width, s->out_width);
        for (long x = there.first; x < there.last; x++) {
            if (x == whole.first && whole.last > x) x = whole.last;
            if (x >= there.last) break;
            const float *pixel = map + (x * s->stride - s->padding + j) * C;
            sums[j] += NAME(load_float)(grad + x * C) * NAME(load_float)(pixel);
        }
    }
    for (long x = whole.first; x < whole.last; x++) {
        vf g = NAME(load_float)(grad + x * C);
        const float *pixels = map + (x * s->stride - s->padding) * C;
        UNROLLED for (int j = 0; j < K; j++) sums[j] += g * NAME(load_float)(pixels + j * C);
    }
}

/* All kernel rows at one row of the result after the other, so that a row of the map is in the caches for all that read it. */
INLINE void NAME(weigh_channels)(const arguments *a, long image, long channel, int K, vf *sums) {
    const geometry *s = &a->shape;
    long C = s->channels;
    for (long row = 0; row < s->out_height; row++)
        for (int i = 0; i < K; i++) {
            long y = row * s->stride - s->padding + i;
            if (y < 0 || y >= s->height) continue;
            const float *map = a->map + (image * s->height + y) * s->width * C + channel;
            const float *grad = a->grad + (image * s->out_height + row) * s->out_width * C + channel;
            vf own[MOST_TAPS] = {0}; /* of a constant number, which stay in registers */
            NAME(weigh_row)(s, map, grad, K, own);
            UNROLLED for (int j = 0; j < K; j++) sums[i * K + j] += own[j];
        }
}

/* The gradient of the weights: an item is a vector of channels, of one image where each has its own kernels. The last
 * vector overlaps the one before it. Fewer channels than a vector go one by one. */
static void NAME(weigh)(void *context, long item) {
    const arguments *a = context;
    const geometry *s = &a->shape;
    long C = s->channels, K = s->kernel_size, blocks = (C + V - 1) / V;
    long of_image = item / blocks, channel = item % blocks * V;
    long first = s->each_image ? of_image : 0, last = s->each_image ? of_image + 1 : s->batch;
    float *to = a->result + of_image * K * K * C;
    if (C < V) {
        for (long c = 0; c < C; c++)
            for (long i = 0; i < K; i++)
                for (long j = 0; j < K; j++) {
                    float sum = 0;
                    range rows = outputs_of(i, s->stride, s->padding, s->height, s->out_height);
                    range columns = outputs_of(j, s->stride, s->padding, s->width, s->out_width);
                    for (long image = first; image < last; image++)
                        for (long y = rows.first; y < rows.last; y++)
                            for (long x = columns.first; x < columns.last; x++) {
                                long row = y * s->stride - s->padding + i, column = x * s->stride - s->padding + j;
                                sum += a->grad[((image * s->out_height + y) * s->out_width + x) * C + c] *
                                       a->map[((image * s->height + row) * s->width + column) * C + c];
                            }
                    to[(i * K + j) * C + c] = sum;
                }
        return;
    }
    if (channel > C - V) channel = C - V;
    vf sums[MOST_TAPS * MOST_TAPS] = {0};
    for (long image = first; image < last; image++) {
#define CASE(TAPS) \
    case TAPS: NAME(weigh_channels)(a, image, channel, TAPS, sums); break;
        switch (K) {
            CASE(1) CASE(2) CASE(3) CASE(4) CASE(5) CASE(6) CASE(7) CASE(8)
        }
#undef CASE
    }
    for (long k = 0; k < K * K; k++) NAME(store_float)(to + k * C + channel, sums[k]);
}
