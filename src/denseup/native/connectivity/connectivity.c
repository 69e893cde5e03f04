/* How connected the pixels of two alpha mattes are.
 *
 * Alpha is quantised to the number of thresholds k · 0.1, k = 1..10, that it reaches. Level k is the set of pixels where
 * both alphas reach threshold k, kept as runs: maximal stretches of a row. Union-find over runs that touch across rows
 * labels its 4-connected components.
 */
#include "common/bytes.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { LEVELS = 10, BLOCK = 64 };

/* The quantised image in rows of whole blocks, and the least and greatest value of each block. */
typedef struct {
    long height, width, blocks;
    uint8_t *values, *least, *greatest;
} quantised;

/* The runs of one level and room to join them. */
typedef struct {
    /* begin_0, end_0, begin_1, end_1, ...; an end is the first column after a run. */
    int32_t *columns;
    /* Of each row, and after the last one: how many runs come before it. */
    int32_t *first;
    /* Of each run: an earlier run of its component or itself; the pixels of the component whose first run it is. */
    int32_t *parent, *area;
    /* Of two rows: the runs that touch, and the pixels as bits. */
    int32_t (*pairs)[2];
    uint64_t *bits;
} runs;

/* The thresholds that a value reaches: floor(10 · value / 255), divided exactly in 16 bits. */
static inline uint8_t reached(uint8_t value) {
    uint16_t tenths = (uint16_t)(10 * value);
    return (uint8_t)((uint16_t)(tenths + (tenths >> 8) + 1) >> 8);
}

static void quantise_block(const uint8_t *p, const uint8_t *g, long count, uint8_t *values, uint8_t *range[2]) {
    uint8_t least = LEVELS, greatest = 0;
    if (count < BLOCK) memset(values, 0, BLOCK);
    for (int x = 0; x < count; x++) values[x] = reached(p[x] < g[x] ? p[x] : g[x]);
    for (int x = 0; x < BLOCK; x++) {
        least = values[x] < least ? values[x] : least;
        greatest = values[x] > greatest ? values[x] : greatest;
    }
    *range[0] = least;
    *range[1] = greatest;
}

static void quantise(const uint8_t *pred, const uint8_t *target, quantised *image) {
    for (long y = 0; y < image->height; y++) {
        for (long b = 0; b < image->blocks; b++) {
            long pixel = y * image->width + b * BLOCK, block = y * image->blocks + b;
            long left = image->width - b * BLOCK;
            uint8_t *range[2] = {image->least + block, image->greatest + block};
            quantise_block(pred + pixel, target + pixel, left < BLOCK ? left : BLOCK, image->values + block * BLOCK,
                           range);
        }
    }
}

/* One bit for each of the 64 values, set where it is at least k. */
static uint64_t pack(const uint8_t *values, int k) {
    uint64_t packed = 0;
    for (int i = 0; i < BLOCK / 8; i++) {
        uint64_t eight;
        memcpy(&eight, values + 8 * i, 8);
#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
        eight = __builtin_bswap64(eight);
#endif
        /* The highest bit of each byte, then all eight of them side by side. */
        uint64_t reach = (eight + (uint64_t)(128 - k) * EACH_BYTE) >> 7 & EACH_BYTE;
        packed |= (reach * 0x0102040810204080u >> 56) << 8 * i;
    }
    return packed;
}

/* Write the columns where a row enters and leaves level k, and its pixels as bits; returns the end of the columns. */
static int32_t *row_runs(const quantised *image, long y, int k, int32_t *out, uint64_t *row) {
    uint64_t inside = 0;
    for (long b = 0; b < image->blocks; b++) {
        long block = y * image->blocks + b;
        uint64_t bits;
        if (image->least[block] >= k) bits = ~(uint64_t)0;
        else if (image->greatest[block] < k) bits = 0;
        else bits = pack(image->values + block * BLOCK, k);
        for (uint64_t changes = bits ^ (bits << 1 | inside); changes; changes &= changes - 1)
            *out++ = (int32_t)(b * BLOCK + __builtin_ctzll(changes));
        inside = bits >> (BLOCK - 1);
        row[b] = bits;
    }
    if (inside) *out++ = (int32_t)image->width;
    return out;
}

static int32_t root(const int32_t *parent, int32_t run) {
    while (parent[run] != run) run = parent[run];
    return run;
}

/* Join two runs; the earlier root stays one, so a parent never comes after its child. */
static void unite(int32_t *parent, int32_t above, int32_t run) {
    /* Mostly two steps are enough, and those need no test. */
    int32_t a = root(parent, parent[parent[above]]), b = root(parent, parent[run]);
    int32_t earlier = a < b ? a : b, later = a < b ? b : a;
    parent[later] = earlier;
    parent[above] = parent[run] = earlier;
}

/* List the pairs of runs of two neighbouring rows that touch; returns how many there are.
 *
 * above, row: the rows as bits; run_above, run: how many runs come before them. Two runs touch from where one starts
 * within the other. Whether they do is hard to predict, so there is no branch on it: a pair that does not touch is
 * overwritten by the next one.
 */
static int32_t touching_runs(const uint64_t *above, const uint64_t *row, long blocks, int32_t run_above, int32_t run,
                             int32_t (*pairs)[2]) {
    int32_t count = 0;
    uint64_t inside_above = 0, inside = 0;
    run_above--, run--;
    for (long b = 0; b < blocks; b++) {
        uint64_t starts_above = above[b] & ~(above[b] << 1 | inside_above);
        uint64_t starts = row[b] & ~(row[b] << 1 | inside);
        uint64_t both = above[b] & row[b];
        for (uint64_t left = starts_above | starts; left; left &= left - 1) {
            uint64_t first = left & -left;
            run_above += (starts_above & first) != 0;
            run += (starts & first) != 0;
            pairs[count][0] = run_above;
            pairs[count][1] = run;
            count += (both & first) != 0;
        }
        inside_above = above[b] >> (BLOCK - 1);
        inside = row[b] >> (BLOCK - 1);
    }
    return count;
}

/* Find the runs of level k and join those that touch; returns how many there are. */
static int32_t join_runs(const quantised *image, int k, runs *level) {
    int32_t *out = level->columns, begin = 0, begin_above = 0;
    uint64_t *row = level->bits, *above = level->bits + image->blocks;
    memset(above, 0, (size_t)image->blocks * sizeof(uint64_t));
    for (long y = 0; y < image->height; y++) {
        level->first[y] = begin;
        out = row_runs(image, y, k, out, row);
        int32_t end = (int32_t)((out - level->columns) / 2);
        for (int32_t run = begin; run < end; run++) level->parent[run] = run;
        int32_t count = touching_runs(above, row, image->blocks, begin_above, begin, level->pairs);
        for (int32_t i = 0; i < count; i++) unite(level->parent, level->pairs[i][0], level->pairs[i][1]);
        uint64_t *swap = above;
        above = row;
        row = swap;
        begin_above = begin;
        begin = end;
    }
    return level->first[image->height] = begin;
}

/* Make each run's parent the first run of its component, whose area is counted there. */
static void label_components(runs *level, long height) {
    const int32_t *columns = level->columns;
    int32_t *parent = level->parent, *area = level->area;
    for (int32_t run = 0; run < level->first[height]; run++) {
        int32_t length = columns[2 * run + 1] - columns[2 * run];
        int32_t label = parent[run] = parent[parent[run]];
        area[run] = 0;
        area[label] += length;
    }
}

/* The label of the largest component; of several, the one with the first pixel in column-major order. */
static int32_t largest_component(const runs *level, long height) {
    int32_t label = 0, largest = 0, column = INT32_MAX, ties = 0, count = level->first[height];
    for (int32_t run = 0; run < count; run++) largest = level->area[run] > largest ? level->area[run] : largest;
    for (int32_t run = 0; run < count; run++) {
        if (level->area[run] != largest) continue;
        label = run;
        ties++;
    }
    if (ties == 1) return label;
    /* Rows come in order, so of runs that begin in the same column the first one counts. */
    for (int32_t run = 0; run < count; run++) {
        int32_t begin = level->columns[2 * run];
        if (level->area[level->parent[run]] != largest || begin >= column) continue;
        label = level->parent[run];
        column = begin;
    }
    return label;
}

/* Raise the pixels of a component from k - 1 to k; returns 0 if they have not reached k - 1. */
static int raise_component(const runs *level, int32_t label, int k, long height, long width, uint8_t *reach) {
    for (long y = 0; y < height; y++) {
        for (int32_t run = level->first[y]; run < level->first[y + 1]; run++) {
            if (level->parent[run] != label) continue;
            int32_t begin = level->columns[2 * run], end = level->columns[2 * run + 1];
            uint8_t *row = reach + y * width;
            if (row[begin] != k - 1) return 0;
            memset(row + begin, k, (size_t)(end - begin));
        }
    }
    return 1;
}

static void climb(const quantised *image, runs *level, uint8_t *reach) {
    long pixels = image->height * image->width;
    memset(reach, 0, (size_t)pixels);
    for (int k = 1; k <= LEVELS; k++) {
        if (!join_runs(image, k, level)) {
            /* A level that no pixel reaches is skipped, and so are those above it. */
            for (long i = 0; i < pixels; i++) reach[i] = reach[i] == k - 1 ? LEVELS : reach[i];
            return;
        }
        label_components(level, image->height);
        /* A component lies inside one component of the level below or apart from it. Once the largest one is apart,
         * every pixel has failed at some level, and higher levels change nothing. */
        int32_t label = largest_component(level, image->height);
        if (!raise_component(level, label, k, image->height, image->width, reach)) return;
    }
}

/* For each pixel, how many steps of 0.1 it stays in the largest component of both alphas: 10 · l of the metric.
 *
 * pred, target, reach: uint8 [height, width], height · width < 2^31. Returns 0, or 1 where memory runs out.
 */
int denseup_connectivity_levels(const uint8_t *pred, const uint8_t *target, int height, int width, uint8_t *reach) {
    quantised image = {height, width, (width + BLOCK - 1) / BLOCK, 0, 0, 0};
    size_t blocks = (size_t)height * (size_t)image.blocks;
    /* A row has at most one run for every two pixels. Pages that are never written cost nothing. */
    size_t row = (size_t)width / 2 + 1, most = (size_t)height * row;
    uint8_t *bytes = malloc(blocks * (BLOCK + 2));
    int32_t *numbers = malloc((4 * most + (size_t)height + 1 + 4 * row) * sizeof(int32_t));
    uint64_t *words = malloc(2 * (size_t)image.blocks * sizeof(uint64_t));
    int failed = !bytes || !numbers || !words;
    if (!failed) {
        image.values = bytes;
        image.least = bytes + blocks * BLOCK;
        image.greatest = image.least + blocks;
        int32_t *first = numbers + 4 * most, *pairs = first + height + 1;
        runs level = {numbers, first, numbers + 2 * most, numbers + 3 * most, (int32_t (*)[2])pairs, words};
        quantise(pred, target, &image);
        climb(&image, &level, reach);
    }
    free(bytes);
    free(numbers);
    free(words);
    return failed;
}
