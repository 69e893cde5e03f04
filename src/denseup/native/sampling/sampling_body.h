/* The kernels of sampling.c for one instruction set. */

/* One coordinate: the pixel before it, the share of the next one, and whether it moves with the position. */
INLINE void NAME(split)(float position, long length, int zeros, int *first, float *share, float *slope) {
    float least = zeros ? -2.0f : 0.0f, most = zeros ? (float)(length + 1) : (float)(length - 1);
    float inside = position >= most ? most : position <= least ? least : position; /* NaN stays */
    float known = inside == inside ? inside : 0.0f;
    float floored = __builtin_floorf(known);
    *first = (int)floored;
    *share = inside - floored;
    *slope = position >= most || position <= least ? 0.0f : 1.0f;
}

/* Of `count` pixels of a row, from column `from` on. */
INLINE void NAME(find_corners)(
    const arguments *a, long image, long group, long row, long from, int count, corners *c
) {
    const geometry *s = &a->shape;
    const positions *w = &a->where;
    const float *columns = w->at + image * w->image + group * w->channel + row * w->row + from * w->column;
    const float *rows = columns + s->groups * w->channel;
    int width = (int)s->width, height = (int)s->height;
    for (int k = 0; k < count; k++) {
        int left, top;
        NAME(split)(columns[k * w->column], width, s->zeros, &left, &c->right[k], &c->slope_right[k]);
        NAME(split)(rows[k * w->column], height, s->zeros, &top, &c->down[k], &c->slope_down[k]);
        float number = c->right[k] + c->down[k];
        int there = number == number;
        int lefts = (left >= 0) & (left < width) & there, rights = (left >= -1) & (left < width - 1) & there;
        int tops = (top >= 0) & (top < height), bottoms = (top >= -1) & (top < height - 1);
        int first = top * width + left;
        c->pixel[0][k] = tops & lefts ? first : -1;
        c->pixel[1][k] = tops & rights ? first + 1 : -1;
        c->pixel[2][k] = bottoms & lefts ? first + width : -1;
        c->pixel[3][k] = bottoms & rights ? first + width + 1 : -1;
    }
}

INLINE void NAME(read_pixel)(const float *const *from, const float *weights, float *to, long channels) {
    long n = 0;
    for (; n + V <= channels; n += V) {
        vf sum = weights[0] * NAME(load_float)(from[0] + n) + weights[1] * NAME(load_float)(from[1] + n);
        sum += weights[2] * NAME(load_float)(from[2] + n) + weights[3] * NAME(load_float)(from[3] + n);
        NAME(store_float)(to + n, sum);
    }
    for (; n < channels; n++)
        to[n] = weights[0] * from[0][n] + weights[1] * from[1][n] + weights[2] * from[2][n] + weights[3] * from[3][n];
}

/* An item is a row of an image. */
static void NAME(sample)(void *context, long item) {
    const arguments *a = context;
    const geometry *s = &a->shape;
    long image = item / s->out_height, row = item % s->out_height, C = s->channels, each = C / s->groups;
    const float *map = a->map + image * s->height * s->width * C;
    corners c;
    for (long from = 0; from < s->out_width; from += CHUNK) {
        int count = s->out_width - from < CHUNK ? (int)(s->out_width - from) : CHUNK;
        for (long group = 0; group < s->groups; group++) {
            NAME(find_corners)(a, image, group, row, from, count, &c);
            float *to = a->result + (item * s->out_width + from) * C + group * each;
            for (int k = 0; k < count; k++, to += C) {
                const float *at[4];
                for (int n = 0; n < 4; n++) at[n] = c.pixel[n][k] < 0 ? a->nothing : map + c.pixel[n][k] * C + group * each;
                float down = c.down[k], right = c.right[k], up = 1 - down, left = 1 - right;
                float weights[4] = {up * left, up * right, down * left, down * right};
                NAME(read_pixel)(at, weights, to, each);
            }
        }
    }
}

/* Adds to the gradients of the four pixels; gives the derivatives by column and row. */
INLINE void NAME(give_back)(
    const float *grad, const float *const *from, float *const *to, float down, float right, long channels, float *by
) {
    float up = 1 - down, left = 1 - right;
    float weights[4] = {up * left, up * right, down * left, down * right};
    vf columns = {0}, rows = {0};
    long n = 0;
    for (; n + V <= channels; n += V) {
        vf g = NAME(load_float)(grad + n), x[4];
        UNROLLED for (int k = 0; k < 4; k++) {
            x[k] = NAME(load_float)(from[k] + n);
            NAME(store_float)(to[k] + n, NAME(load_float)(to[k] + n) + weights[k] * g);
        }
        columns += g * (up * (x[1] - x[0]) + down * (x[3] - x[2]));
        rows += g * (left * (x[2] - x[0]) + right * (x[3] - x[1]));
    }
    by[0] = NAME(sum)(columns);
    by[1] = NAME(sum)(rows);
    for (; n < channels; n++) {
        float g = grad[n], x[4];
        for (int k = 0; k < 4; k++) {
            x[k] = from[k][n];
            to[k][n] += weights[k] * g;
        }
        by[0] += g * (up * (x[1] - x[0]) + down * (x[3] - x[2]));
        by[1] += g * (left * (x[2] - x[0]) + right * (x[3] - x[1]));
    }
}

/* An item is some slices of the groups of an image: no other writes to these channels. */
static void NAME(sample_backward)(void *context, long item) {
    const arguments *a = context;
    const geometry *s = &a->shape;
    long image = item / a->items, part = item % a->items, C = s->channels, each = C / s->groups;
    long units = s->groups * a->slices, pixels = s->out_height * s->out_width;
    long map_at = image * s->height * s->width * C;
    float *sink = a->sink + item * C;
    corners c;
    for (long row = 0; row < s->out_height; row++)
        for (long from = 0; from < s->out_width; from += CHUNK) {
            int count = s->out_width - from < CHUNK ? (int)(s->out_width - from) : CHUNK;
            for (long unit = part * units / a->items; unit < (part + 1) * units / a->items; unit++) {
                long group = unit / a->slices, slice = unit % a->slices;
                long first = group * each + slice * each / a->slices, last = group * each + (slice + 1) * each / a->slices;
                long at = row * s->out_width + from;
                NAME(find_corners)(a, image, group, row, from, count, &c);
                const float *grad = a->grad + (image * pixels + at) * C + first;
                float *columns = a->of_where + ((slice * s->batch + image) * 2 * s->groups + group) * pixels + at;
                float *rows = columns + s->groups * pixels;
                for (int k = 0; k < count; k++, grad += C) {
                    const float *of_map[4];
                    float *to[4], by[2];
                    for (int n = 0; n < 4; n++) {
                        int there = c.pixel[n][k] >= 0;
                        long pixel = map_at + c.pixel[n][k] * C + first;
                        of_map[n] = there ? a->map + pixel : a->nothing;
                        to[n] = there ? a->of_map + pixel : sink;
                    }
                    NAME(give_back)(grad, of_map, to, c.down[k], c.right[k], last - first, by);
                    columns[k] = c.slope_right[k] * by[0];
                    rows[k] = c.slope_down[k] * by[1];
                    float number = c.right[k] + c.down[k];
                    if (number != number) columns[k] = rows[k] = number;
                }
            }
        }
}
