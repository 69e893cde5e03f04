/* The kernels of points.c for one instruction set. */
#if V == 16
#define WIDE 4 /* vectors of channels that are worked on together: with four corners they fill the registers */
#else
#define WIDE 2
#endif

/* Calls TILE(vectors) for the `channels` of a group, from `lane` on, as many whole vectors at a time as there are. */
#define TILES(TILE)                                    \
    for (; lane + WIDE * V <= channels; lane += WIDE * V) TILE(WIDE) \
    for (; WIDE > 2 && lane + 2 * V <= channels; lane += 2 * V) TILE(2) \
    for (; lane + V <= channels; lane += V) TILE(1)

INLINE float *NAME(number_at)(const per_point *p, long image, long group, long point, long row, long column) {
    return p->at + image * p->image + group * p->group + point * p->point + row * p->row + column * p->column;
}

/* Brings the next run near too: there are more rows of numbers than any processor follows. */
INLINE void NAME(load_run)(const float *from, long step, int count, float *to) {
    if (step == 1 && count == RUN) {
        __builtin_prefetch(from + RUN, 0, 3);
        __builtin_memcpy(to, from, RUN * sizeof(float));
        return;
    }
    for (int k = 0; k < count; k++) {
        __builtin_prefetch(from + (k + RUN) * step, 0, 3);
        to[k] = from[k * step];
    }
    for (int k = count; k < RUN; k++) to[k] = 0;
}

INLINE void NAME(store_run)(const float *from, long step, int count, float *to) {
    for (int k = 0; k < count; k++) to[k * step] = from[k];
}

INLINE vf NAME(chosen)(vi mask, vf yes, vf no) { return (vf)(((vi)yes & mask) | ((vi)no & ~mask)); }

/* One coordinate: the pixel before it and the share of the next one, NaN where the position is; no further outside than
 * where nothing is read. */
INLINE void NAME(split)(vf position, long length, vi *first, vf *share) {
    vf least = (vf){0} - 2.0f, most = (vf){0} + (float)(length + 1);
    vf inside = NAME(chosen)(position >= most, most, NAME(chosen)(position <= least, least, position));
    vf known = (vf)((vi)inside & (inside == inside));
    vi whole = __builtin_convertvector(known, vi);
    whole += __builtin_convertvector(whole, vf) > known; /* -1 where it was rounded upwards */
    *first = whole;
    *share = inside - __builtin_convertvector(whole, vf);
}

/* Of `points` points from `point` on and `count` pixels of a row from `column` on; `weighed` by those of the points. */
INLINE void NAME(find_corners)(
    const arguments *a, long image, long group, long point, int points, long row, long column, int count, int weighed,
    corners *c
) {
    int width = (int)a->shape.width, height = (int)a->shape.height;
    float columns[BLOCK][RUN], rows[BLOCK][RUN];
    for (int p = 0; p < points; p++) { /* all at first: whole vectors of what was just written float by float would wait */
        const float *at = NAME(number_at)(&a->where, image, group, point + p, row, column);
        NAME(load_run)(at, a->where.column, count, columns[p]);
        NAME(load_run)(at + a->where.axis, a->where.column, count, rows[p]);
        if (weighed) {
            at = NAME(number_at)(&a->weights, image, group, point + p, row, column);
            NAME(load_run)(at, a->weights.column, count, c->own[p]);
        }
    }
    for (int p = 0; p < points; p++)
        for (int k = 0; k < RUN; k += V) {
            vi left, top;
            vf right, down;
            NAME(split)(NAME(load_float)(columns[p] + k), width, &left, &right);
            NAME(split)(NAME(load_float)(rows[p] + k), height, &top, &down);
            vi there = (right + down) == (right + down);
            vi lefts = (left >= 0) & (left < width) & there, rights = (left >= -1) & (left < width - 1) & there;
            vi tops = (top >= 0) & (top < height), bottoms = (top >= -1) & (top < height - 1);
            vi first = top * width + left;
            vi inside[4] = {tops & lefts, tops & rights, bottoms & lefts, bottoms & rights};
            vi pixels[4] = {first, first + 1, first + width, first + width + 1};
            vf own = weighed ? NAME(load_float)(c->own[p] + k) : (vf){0} + 1.0f;
            vf upper = own * (1.0f - down), lower = own * down;
            vf weights[4] = {upper * (1.0f - right), upper * right, lower * (1.0f - right), lower * right};
            for (int n = 0; n < 4; n++) {
                vi pixel = (pixels[n] & inside[n]) | ~inside[n];
                __builtin_memcpy(c->pixel[p][n] + k, &pixel, sizeof pixel);
                NAME(store_float)(c->weight[p][n] + k, weights[n]);
            }
            NAME(store_float)(c->down[p] + k, down);
            NAME(store_float)(c->right[p] + k, right);
        }
}

/* The channels of the four corners of a point, of a map from some channel on. */
INLINE void NAME(find_channels)(
    const arguments *a, const corners *c, int p, int k, const float *map, const float **at
) {
    UNROLLED for (int n = 0; n < 4; n++) {
        int pixel = c->pixel[p][n][k];
        at[n] = pixel < 0 ? a->nothing : map + pixel * a->shape.channels;
    }
}

/* What is read soon, for maps of high resolution lie in no cache, and no processor foresees the order of groups. */
INLINE void NAME(bring_near)(const float *from, long channels) {
    for (long lane = 0; lane < channels; lane += LINE) __builtin_prefetch(from + lane, 0, 3);
}

INLINE void NAME(bring_near_to_write)(float *to, long channels) {
    for (long lane = 0; lane < channels; lane += LINE) __builtin_prefetch(to + lane, 1, 3);
}

/* A task's item that is a row of an image: its runs, groups and blocks of points, with the corners of each. */
#define EACH_BLOCK(WEIGHED)                                                                                     \
    const arguments *a = context;                                                                               \
    const geometry *s = &a->shape;                                                                              \
    long image = item / s->out_height, row = item % s->out_height, C = s->channels, channels = C / s->groups;   \
    const float *image_map = a->map + image * s->height * s->width * C;                                         \
    corners c;                                                                                                  \
    for (long from = 0; from < s->out_width; from += RUN)                                                       \
        for (long group = 0; group < s->groups; group++)                                                        \
            for (long point = 0; point < s->points; point += BLOCK) {                                           \
                int count = s->out_width - from < RUN ? (int)(s->out_width - from) : RUN;                       \
                int points = s->points - point < BLOCK ? (int)(s->points - point) : BLOCK;                      \
                const float *map = image_map + group * channels;                                                \
                long high_at = (item * s->out_width + from) * C + group * channels;                             \
                long ahead = group + 1 < s->groups ? channels : count * C - group * channels;                   \
                NAME(find_corners)(a, image, group, point, points, row, from, count, WEIGHED, &c);

/* ---- Products with a query ---- */

INLINE void NAME(similarity_tile)(
    int vectors, const arguments *a, const corners *c, int points, int k, const float *query, const float *map,
    float (*products)[RUN]
) {
    vf q[WIDE], parts[BLOCK + 3];
    UNROLLED for (int v = 0; v < vectors; v++) q[v] = NAME(load_float)(query + v * V);
    for (int p = 0; p < points; p++) {
        const float *at[4];
        NAME(find_channels)(a, c, p, k, map, at);
        vf sum = {0};
        UNROLLED for (int v = 0; v < vectors; v++) {
            vf x = c->weight[p][0][k] * NAME(load_float)(at[0] + v * V) + c->weight[p][1][k] * NAME(load_float)(at[1] + v * V);
            vf y = c->weight[p][2][k] * NAME(load_float)(at[2] + v * V) + c->weight[p][3][k] * NAME(load_float)(at[3] + v * V);
            sum += q[v] * (x + y);
        }
        parts[p] = sum;
    }
    for (int p = points; p % 4; p++) parts[p] = (vf){0};
    for (int p = 0; p < points; p += 4) {
        v4 four = NAME(sums)(parts[p], parts[p + 1], parts[p + 2], parts[p + 3]);
        for (int n = 0; n < 4 && p + n < points; n++) products[p + n][k] += four[n];
    }
}

static void NAME(similarity)(void *context, long item) {
    EACH_BLOCK(0)
        float products[BLOCK][RUN];
        __builtin_memset(products, 0, sizeof products);
        for (int k = 0; k < count; k++) {
            const float *query = a->high + high_at + k * C;
            NAME(bring_near)(query + ahead, channels);
            long lane = 0;
#define TILE(VECTORS) NAME(similarity_tile)(VECTORS, a, &c, points, k, query + lane, map + lane, products);
            TILES(TILE)
#undef TILE
            for (int p = 0; p < points && lane < channels; p++) {
                const float *at[4];
                NAME(find_channels)(a, &c, p, k, map, at);
                float sum = 0;
                for (long n = lane; n < channels; n++) {
                    float upper = c.weight[p][0][k] * at[0][n] + c.weight[p][1][k] * at[1][n];
                    float lower = c.weight[p][2][k] * at[2][n] + c.weight[p][3][k] * at[3][n];
                    sum += query[n] * (upper + lower);
                }
                products[p][k] += sum;
            }
        }
        for (int p = 0; p < points; p++) {
            float *to = NAME(number_at)(&a->of_weights, image, group, point + p, row, from);
            NAME(store_run)(products[p], a->of_weights.column, count, to);
        }
    }
}

/* ---- Sums by weights ---- */

INLINE void NAME(gather_tile)(
    int vectors, const arguments *a, const corners *c, int points, int k, const float *map, int more, float *to
) {
    vf sums[WIDE];
    UNROLLED for (int v = 0; v < vectors; v++) sums[v] = more ? NAME(load_float)(to + v * V) : (vf){0};
    for (int p = 0; p < points; p++) {
        const float *at[4];
        NAME(find_channels)(a, c, p, k, map, at);
        UNROLLED for (int v = 0; v < vectors; v++) {
            vf x = c->weight[p][0][k] * NAME(load_float)(at[0] + v * V) + c->weight[p][1][k] * NAME(load_float)(at[1] + v * V);
            vf y = c->weight[p][2][k] * NAME(load_float)(at[2] + v * V) + c->weight[p][3][k] * NAME(load_float)(at[3] + v * V);
            sums[v] += x + y;
        }
    }
    UNROLLED for (int v = 0; v < vectors; v++) NAME(store_float)(to + v * V, sums[v]);
}

static void NAME(gather)(void *context, long item) {
    EACH_BLOCK(1)
        for (int k = 0; k < count; k++) {
            float *to = a->of_high + high_at + k * C;
            NAME(bring_near_to_write)(to + ahead, channels);
            long lane = 0;
#define TILE(VECTORS) NAME(gather_tile)(VECTORS, a, &c, points, k, map + lane, point > 0, to + lane);
            TILES(TILE)
#undef TILE
            for (int p = 0; p < points && lane < channels; p++) {
                const float *at[4];
                NAME(find_channels)(a, &c, p, k, map, at);
                for (long n = lane; n < channels; n++) {
                    float upper = c.weight[p][0][k] * at[0][n] + c.weight[p][1][k] * at[1][n];
                    float lower = c.weight[p][2][k] * at[2][n] + c.weight[p][3][k] * at[3][n];
                    to[n] = (p || point ? to[n] : 0) + (upper + lower);
                }
            }
        }
    }
}

/* ---- Gradients of all but the map ---- */

/* Products of `high` with each corner; with `and_high` also the gradient of `high`. */
INLINE void NAME(read_tile)(
    int vectors, int and_high, const arguments *a, const corners *c, int points, int k, const float *high, const float *map,
    int more, float *of_high, float (*products)[4][RUN]
) {
    vf h[WIDE], sums[WIDE];
    UNROLLED for (int v = 0; v < vectors; v++) {
        h[v] = NAME(load_float)(high + v * V);
        if (and_high) sums[v] = more ? NAME(load_float)(of_high + v * V) : (vf){0};
    }
    for (int p = 0; p < points; p++) {
        const float *at[4];
        NAME(find_channels)(a, c, p, k, map, at);
        vf dots[4] = {{0}, {0}, {0}, {0}};
        UNROLLED for (int v = 0; v < vectors; v++) {
            vf x[4];
            UNROLLED for (int n = 0; n < 4; n++) {
                x[n] = NAME(load_float)(at[n] + v * V);
                dots[n] += h[v] * x[n];
            }
            if (and_high) {
                vf upper = c->weight[p][0][k] * x[0] + c->weight[p][1][k] * x[1];
                vf lower = c->weight[p][2][k] * x[2] + c->weight[p][3][k] * x[3];
                sums[v] += upper + lower;
            }
        }
        v4 four = NAME(sums)(dots[0], dots[1], dots[2], dots[3]);
        for (int n = 0; n < 4; n++) products[p][n][k] += four[n];
    }
    if (and_high)
        UNROLLED for (int v = 0; v < vectors; v++) NAME(store_float)(of_high + v * V, sums[v]);
}

/* The gradients of a run of points from the products with their corners. */
INLINE void NAME(finish_points)(
    const arguments *a, const corners *c, int points, int count, float (*products)[4][RUN], long image, long group,
    long point, long row, long from
) {
    float of_own[RUN], of_columns[RUN], of_rows[RUN];
    for (int p = 0; p < points; p++) {
        for (int k = 0; k < RUN; k += V) {
            vf down = NAME(load_float)(c->down[p] + k), right = NAME(load_float)(c->right[p] + k);
            vf up = 1.0f - down, left = 1.0f - right, own = NAME(load_float)(c->own[p] + k), d[4];
            for (int n = 0; n < 4; n++) d[n] = NAME(load_float)(products[p][n] + k);
            NAME(store_float)(of_own + k, up * (left * d[0] + right * d[1]) + down * (left * d[2] + right * d[3]));
            vf by_column = own * (up * (d[1] - d[0]) + down * (d[3] - d[2]));
            vf by_row = own * (left * (d[2] - d[0]) + right * (d[3] - d[1]));
            vf nowhere = down + right; /* NaN where any of the two is, so that both gradients are */
            vi number = nowhere == nowhere;
            NAME(store_float)(of_columns + k, NAME(chosen)(number, by_column, nowhere));
            NAME(store_float)(of_rows + k, NAME(chosen)(number, by_row, nowhere));
        }
        float *to = NAME(number_at)(&a->of_where, image, group, point + p, row, from);
        NAME(store_run)(of_columns, a->of_where.column, count, to);
        NAME(store_run)(of_rows, a->of_where.column, count, to + a->of_where.axis);
        if (!a->of_weights.at) continue;
        to = NAME(number_at)(&a->of_weights, image, group, point + p, row, from);
        NAME(store_run)(of_own, a->of_weights.column, count, to);
    }
}

static void NAME(read_backward)(void *context, long item) {
    EACH_BLOCK(1)
        float products[BLOCK][4][RUN];
        __builtin_memset(products, 0, sizeof products);
        for (int k = 0; k < count; k++) {
            const float *high = a->high + high_at + k * C;
            float *of_high = a->of_high ? a->of_high + high_at + k * C : NULL;
            NAME(bring_near)(high + ahead, channels);
            if (of_high) NAME(bring_near_to_write)(of_high + ahead, channels);
            long lane = 0;
#define TILE(VECTORS)                                                                                                        \
    {                                                                                                                        \
        if (of_high)                                                                                                         \
            NAME(read_tile)(VECTORS, 1, a, &c, points, k, high + lane, map + lane, point > 0, of_high + lane, products);     \
        else NAME(read_tile)(VECTORS, 0, a, &c, points, k, high + lane, map + lane, 0, NULL, products);                      \
    }
            TILES(TILE)
#undef TILE
            for (int p = 0; p < points && lane < channels; p++) {
                const float *at[4];
                NAME(find_channels)(a, &c, p, k, map, at);
                for (long n = lane; n < channels; n++) {
                    for (int m = 0; m < 4; m++) products[p][m][k] += high[n] * at[m][n];
                    if (!of_high) continue;
                    float upper = c.weight[p][0][k] * at[0][n] + c.weight[p][1][k] * at[1][n];
                    float lower = c.weight[p][2][k] * at[2][n] + c.weight[p][3][k] * at[3][n];
                    of_high[n] = (p || point ? of_high[n] : 0) + (upper + lower);
                }
            }
        }
        NAME(finish_points)(a, &c, points, count, products, image, group, point, row, from);
    }
}

/* ---- Gradient of the map ---- */

INLINE void NAME(spread_tile)(
    int vectors, const arguments *a, const corners *c, int points, int k, const float *high, float *of_map, float *sink
) {
    vf h[WIDE];
    UNROLLED for (int v = 0; v < vectors; v++) h[v] = NAME(load_float)(high + v * V);
    for (int p = 0; p < points; p++)
        UNROLLED for (int n = 0; n < 4; n++) {
            int pixel = c->pixel[p][n][k];
            float *to = pixel < 0 ? sink : of_map + pixel * a->shape.channels;
            UNROLLED for (int v = 0; v < vectors; v++)
                NAME(store_float)(to + v * V, NAME(load_float)(to + v * V) + c->weight[p][n][k] * h[v]);
        }
}

/* An item is some slices of the groups of an image: no other writes to these channels. One after the other, so that what is
 * added to for a row of the output stays near for the next one. */
static void NAME(spread)(void *context, long item) {
    const arguments *a = context;
    const geometry *s = &a->shape;
    long image = item / a->items, part = item % a->items, C = s->channels, each = C / s->groups;
    long units = s->groups * a->slices, whole = each / SLICE;
    float *sink = a->sink + item * a->sink_length;
    corners c;
    for (long unit = part * units / a->items; unit < (part + 1) * units / a->items; unit++) {
        long group = unit / a->slices, slice = unit % a->slices;
        long first = slice * whole / a->slices * SLICE;
        long channels = (slice + 1 < a->slices ? (slice + 1) * whole / a->slices * SLICE : each) - first;
        float *map = a->of_map + image * s->height * s->width * C + group * each + first;
        for (long row = 0; row < s->out_height; row++)
            for (long from = 0; from < s->out_width; from += RUN)
                for (long point = 0; point < s->points; point += BLOCK) {
                    int count = s->out_width - from < RUN ? (int)(s->out_width - from) : RUN;
                    int points = s->points - point < BLOCK ? (int)(s->points - point) : BLOCK;
                    const float *high = a->high + ((image * s->out_height + row) * s->out_width + from) * C + group * each + first;
                    NAME(find_corners)(a, image, group, point, points, row, from, count, 1, &c);
                    for (int k = 0; k < count; k++, high += C) {
                        NAME(bring_near)(high + RUN * C, channels);
                        long lane = 0;
#define TILE(VECTORS) NAME(spread_tile)(VECTORS, a, &c, points, k, high + lane, map + lane, sink);
                        TILES(TILE)
#undef TILE
                        for (int p = 0; p < points && lane < channels; p++)
                            for (int n = 0; n < 4; n++) {
                                if (c.pixel[p][n][k] < 0) continue;
                                float *to = map + c.pixel[p][n][k] * C;
                                for (long m = lane; m < channels; m++) to[m] += c.weight[p][n][k] * high[m];
                            }
                    }
                }
    }
}

#undef EACH_BLOCK
#undef TILES
#undef WIDE
