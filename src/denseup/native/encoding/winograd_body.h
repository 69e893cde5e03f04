/* A 3×3 convolution by Winograd's F(2×2, 3×3) for one instruction set (Lavin and Gray, CVPR 2016, arXiv:1509.09308):
 *
 *     Y = Aᵀ[(G w Gᵀ) ⊙ (Bᵀ d B)]A,   dw = Gᵀ[(A dY Aᵀ) ⊙ (Bᵀ d B)]G
 *
 * for every tile of 2×2 output pixels Y, the 4×4 pixels d around it and the weights w. The products over channels (over
 * tiles, in the gradient) are one matrix product for each of the 16 positions, of 4 multiplications for an output where
 * the convolution has 9. All transforms are sums, with halves for the weights only, so that in float32 the error is no
 * larger than that of the convolution by its definition.
 *
 * Channels are at least a vector's: the last vector of them overlaps the one before it.
 */
#include "common/product.h"

INLINE long NAME(vector_at)(long c, long channels) { return c + V <= channels ? c : channels - V; }

/* Bᵀ d B of the 16 pixels of a tile; the positions of the result lie `stride` apart. */
INLINE void NAME(transform_input)(const float *const *pixels, long channels, float *to, long stride) {
    for (long c = 0; c < channels; c += V) {
        long at = NAME(vector_at)(c, channels);
        vf d[4], rows[4][4];
        for (int j = 0; j < 4; j++) {
            for (int i = 0; i < 4; i++) d[i] = NAME(load_float)(pixels[4 * i + j] + at);
            rows[0][j] = d[0] - d[2];
            rows[1][j] = d[1] + d[2];
            rows[2][j] = d[2] - d[1];
            rows[3][j] = d[1] - d[3];
        }
        for (int i = 0; i < 4; i++) {
            float *position = to + 4 * i * stride + at;
            NAME(store_float)(position, rows[i][0] - rows[i][2]);
            NAME(store_float)(position + stride, rows[i][1] + rows[i][2]);
            NAME(store_float)(position + 2 * stride, rows[i][2] - rows[i][1]);
            NAME(store_float)(position + 3 * stride, rows[i][1] - rows[i][3]);
        }
    }
}

/* A dY Aᵀ of the 4 pixels of a tile. */
INLINE void NAME(transform_gradient)(const float *const *pixels, long channels, float *to, long stride) {
    for (long c = 0; c < channels; c += V) {
        long at = NAME(vector_at)(c, channels);
        vf rows[4][2];
        for (int j = 0; j < 2; j++) {
            vf upper = NAME(load_float)(pixels[j] + at), lower = NAME(load_float)(pixels[2 + j] + at);
            rows[0][j] = upper;
            rows[1][j] = upper + lower;
            rows[2][j] = upper - lower;
            rows[3][j] = -lower;
        }
        for (int i = 0; i < 4; i++) {
            float *position = to + 4 * i * stride + at;
            NAME(store_float)(position, rows[i][0]);
            NAME(store_float)(position + stride, rows[i][0] + rows[i][1]);
            NAME(store_float)(position + 2 * stride, rows[i][0] - rows[i][1]);
            NAME(store_float)(position + 3 * stride, -rows[i][1]);
        }
    }
}

/* Aᵀ m A, plus the bias and what is added, to the pixels of a tile that are there. */
INLINE void NAME(transform_output)(
    const float *m, long stride, const float *bias, const float *const *low, long channels, float *const *pixels
) {
    for (long c = 0; c < channels; c += V) {
        long at = NAME(vector_at)(c, channels);
        vf zero = {0}, offset = bias ? NAME(load_float)(bias + at) : zero, rows[2][4];
        for (int j = 0; j < 4; j++) {
            vf p[4];
            for (int i = 0; i < 4; i++) p[i] = NAME(load_float)(m + (4 * i + j) * stride + at);
            rows[0][j] = p[0] + p[1] + p[2];
            rows[1][j] = p[1] - p[2] - p[3];
        }
        for (int k = 0; k < 4; k++) {
            if (!pixels[k]) continue;
            vf *row = rows[k / 2];
            vf y = k % 2 ? row[1] - row[2] - row[3] : row[0] + row[1] + row[2];
            NAME(store_float)(pixels[k] + at, y + offset + (low ? NAME(load_float)(low[k] + at) : zero));
        }
    }
}

/* Some tiles of a convolution. */
static void NAME(convolve_tiles)(void *context, long item) {
    arguments *a = context;
    const map_shape *s = &a->shape;
    long first = item * a->tiles_per_item, last = first + a->tiles_per_item < a->tiles ? first + a->tiles_per_item : a->tiles;
    long channels = in_lanes(s->channels), outputs = in_lanes(s->outputs);
    long in_stride = TILES * channels + SPARE, out_stride = TILES * outputs + SPARE;
    float *in = malloc((size_t)(16 * (in_stride + out_stride)) * sizeof(float)), *out = in + 16 * in_stride;
    if (!in) {
        a->failed = 1;
        return;
    }
    for (; first < last; first += TILES) {
        long tiles = last - first < TILES ? last - first : TILES;
        for (long t = 0; t < tiles; t++) {
            const float *pixels[16];
            find_pixels(s, tile_at(s, first + t), 4, -1, a->map, s->channels, a->zeros, pixels);
            NAME(transform_input)(pixels, s->channels, in + t * channels, in_stride);
        }
        for (int p = 0; p < 16; p++) {
            NAME(product) product = {
                .a = in + p * in_stride, .a_row = channels, .a_step = 1,
                .b = a->transformed + p * s->channels * outputs, .b_step = outputs, .steps = s->channels,
                .to = out + p * out_stride, .to_row = outputs,
            };
            NAME(multiply)(tiles, outputs, product);
        }
        for (long t = 0; t < tiles; t++) {
            tile where = tile_at(s, first + t);
            float *pixels[4];
            const float *low[4];
            long y[2] = {0}, x[2] = {0}; /* the tile's rows and columns of the low-resolution map */
            for (int k = 0; k < 2 && a->low; k++) {
                y[k] = (where.y + k) * a->low_height / s->height;
                x[k] = (where.x + k) * a->low_width / s->width;
            }
            for (int k = 0; k < 4; k++) {
                long index = pixel_at(s, where, k / 2, k % 2);
                pixels[k] = index < 0 ? 0 : a->result + index * s->outputs;
                low[k] = a->low + ((where.image * a->low_height + y[k / 2]) * a->low_width + x[k % 2]) * s->outputs;
            }
            NAME(transform_output)(out + t * outputs, out_stride, a->bias, a->low ? low : 0, s->outputs, pixels);
        }
    }
    free(in);
}

/* The share of some tiles in the gradients of the transformed weights and of the bias. */
static void NAME(weigh_tiles)(void *context, long item) {
    arguments *a = context;
    const map_shape *s = &a->shape;
    long first = item * a->tiles_per_item, last = first + a->tiles_per_item < a->tiles ? first + a->tiles_per_item : a->tiles;
    long channels = in_lanes(s->channels), outputs = in_lanes(s->outputs);
    long in_stride = GRADIENT_TILES * channels + SPARE, out_stride = GRADIENT_TILES * outputs + SPARE;
    float *in = malloc((size_t)(16 * (in_stride + out_stride)) * sizeof(float)), *out = in + 16 * in_stride;
    if (!in) {
        a->failed = 1;
        return;
    }
    float *sums = a->sums + item * 16 * s->outputs * channels;
    double *bias_sums = a->bias_sums + item * s->outputs;
    for (long o = 0; o < s->outputs; o++) bias_sums[o] = 0;
    for (int add = 0; first < last; first += GRADIENT_TILES, add = 1) {
        long tiles = last - first < GRADIENT_TILES ? last - first : GRADIENT_TILES;
        for (long t = 0; t < tiles; t++) {
            tile where = tile_at(s, first + t);
            const float *pixels[16];
            find_pixels(s, where, 4, -1, a->map, s->channels, a->zeros, pixels);
            NAME(transform_input)(pixels, s->channels, in + t * channels, in_stride);
            find_pixels(s, where, 2, 0, a->grad, s->outputs, a->zeros, pixels);
            NAME(transform_gradient)(pixels, s->outputs, out + t * outputs, out_stride);
        }
        const float *whole = out + 5 * out_stride; /* at position 1, 1 the four pixels are added */
        NAME(add_rows)(tiles, s->outputs, whole, outputs, bias_sums);
        for (int p = 0; p < 16; p++) {
            float *to = sums + p * s->outputs * channels;
            NAME(product) product = {
                .a = out + p * out_stride, .a_row = 1, .a_step = outputs,
                .b = in + p * in_stride, .b_step = channels, .steps = tiles,
                .start = add ? to : 0, .start_row = channels, .to = to, .to_row = channels,
            };
            NAME(multiply)(s->outputs, channels, product);
        }
    }
    free(in);
}
