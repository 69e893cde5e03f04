/* Boundaries of a label map, for all its labels at once, and areas of labels.
 *
 * A pixel is on the boundary of its label if another label, or the outside of the image, is within `dilation` pixels of
 * it in both directions: if the square window around it is not constant.
 */
#include "common/bytes.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { LABELS = 256 };

/* left[x]: how many more rows must agree until the column above and at x has been constant over a window's height;
 * constant[x]: whether none. */
static void count_rows(const uint8_t *row, const uint8_t *above, int width, uint16_t span, uint16_t *restrict left,
                       uint8_t *restrict constant) {
    for (int x = 0; x < width; x++) {
        uint16_t fewer = (uint16_t)(left[x] - (left[x] > 0));
        left[x] = row[x] == above[x] ? fewer : span;
    }
    for (int x = 0; x < width; x++) constant[x] = left[x] == 0;
}

/* link[x]: the columns of a window at x and x + 1 are constant, with the same label. */
static void link_columns(const uint8_t *centre, const uint8_t *constant, int width, uint8_t *restrict link) {
    for (int x = 0; x < width - 1; x++) link[x] = constant[x] & constant[x + 1] & (centre[x] == centre[x + 1]);
}

static void both(const uint8_t *a, const uint8_t *b, int count, uint8_t *restrict out) {
    for (int x = 0; x < count; x++) out[x] = a[x] & b[x];
}

/* inside[x]: whether links x ... x + span - 1 all hold, out of `count`. Spans that are powers of two double the one
 * before, the last step lays two of them over each other. */
static void constant_windows(uint8_t *link, uint8_t *spare, int count, int span, uint8_t *inside) {
    int reach = 1;
    for (; 2 * reach <= span; reach *= 2) {
        both(link, link + reach, count - 2 * reach + 1, spare);
        uint8_t *swap = link;
        link = spare;
        spare = swap;
    }
    both(link, link + span - reach, count - span + 1, inside);
}

/* Where a window around a pixel is not constant or leaves the image.
 *
 * label, mask: uint8 [height, width]; mask becomes 0 or 1. dilation: in 1..32767. Returns 0,
 * or 1 where memory runs out.
 */
int denseup_boundary_mask(const uint8_t *label, int height, int width, int dilation, uint8_t *mask) {
    memset(mask, 1, (size_t)height * (size_t)width);
    if (dilation > (height - 1) / 2 || dilation > (width - 1) / 2) return 0;
    int span = 2 * dilation;
    uint16_t *left = malloc((size_t)width * (sizeof(uint16_t) + 3));
    if (!left) return 1;
    uint8_t *link = (uint8_t *)(left + width), *spare = link + width, *inside = spare + width;
    for (int x = 0; x < width; x++) left[x] = (uint16_t)span;
    for (long y = 1; y < height; y++) {
        const uint8_t *row = label + y * width;
        count_rows(row, row - width, width, (uint16_t)span, left, spare);
        if (y < span) continue;
        long centre = (y - dilation) * width;
        link_columns(label + centre, spare, width, link);
        if (!memchr(link, 1, (size_t)width - 1)) continue;
        constant_windows(link, spare, width - 1, span, inside);
        for (int x = 0; x < width - span; x++) mask[centre + dilation + x] = inside[x] ^ 1;
    }
    free(left);
    return 0;
}

/* Pixels of each label: counts of the intersection, of the prediction and of the truth. */
typedef struct {
    int64_t (*areas)[LABELS];
    int ignored;
} counter;

static inline void count_pixel(counter to, uint8_t p, uint8_t g, uint8_t in_p, uint8_t in_g) {
    if (g == to.ignored) return;
    to.areas[0][p] += in_p & in_g & (p == g);
    to.areas[1][p] += in_p;
    to.areas[2][g] += in_g;
}

static inline uint64_t load(const uint8_t *bytes) {
    uint64_t eight;
    memcpy(&eight, bytes, 8);
    return eight;
}

/* The sum of eight bytes of 0 or 1. */
static inline int64_t ones(uint64_t bytes) { return (int64_t)(bytes * EACH_BYTE >> 56); }

/* Eight pixels at once, if both maps are constant there. */
static inline int count_eight(counter to, uint8_t p, uint8_t g, const uint64_t loaded[4]) {
    if (loaded[0] != p * EACH_BYTE || loaded[1] != g * EACH_BYTE) return 0;
    if (g == to.ignored) return 1;
    to.areas[0][p] += p == g ? ones(loaded[2] & loaded[3]) : 0;
    to.areas[1][p] += ones(loaded[2]);
    to.areas[2][g] += ones(loaded[3]);
    return 1;
}

/* Add up the areas of labels over the pixels whose truth is not `ignored` (-1: over all).
 *
 * pred, target: uint8 [pixels]; in_pred, in_target: 0 or 1, which pixels to count in either map, uint8 [pixels];
 * areas: int64 [3, 256], intersection, prediction and truth.
 */
void denseup_label_areas(const uint8_t *pred, const uint8_t *target, const uint8_t *in_pred, const uint8_t *in_target,
                         long pixels, int ignored, int64_t (*areas)[LABELS]) {
    /* Counters on the stack, which no pointer to pixels can point into: several times as fast. */
    int64_t counts[3][LABELS] = {{0}};
    counter to = {counts, ignored};
    long i = 0;
    for (; i + 8 <= pixels; i += 8) {
        uint64_t loaded[4] = {load(pred + i), load(target + i), load(in_pred + i), load(in_target + i)};
        if (count_eight(to, pred[i], target[i], loaded)) continue;
        for (long j = i; j < i + 8; j++) count_pixel(to, pred[j], target[j], in_pred[j], in_target[j]);
    }
    for (; i < pixels; i++) count_pixel(to, pred[i], target[i], in_pred[i], in_target[i]);
    for (int map = 0; map < 3; map++)
        for (int label = 0; label < LABELS; label++) areas[map][label] += counts[map][label];
}
