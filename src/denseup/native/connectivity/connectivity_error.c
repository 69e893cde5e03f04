/* The connectivity error of an alpha matte, in integers: what connectivity.c finds, summed up. */
#include <stdint.h>

/* d = alpha - 0.1 · level in units of 1/2550 is 10 · alpha - 255 · level; d < 0.15, that is 382.5, does not count. */
enum { LEAST_DISTANCE = 383 };

static inline int16_t far_distance(uint8_t alpha, uint8_t level) {
    int16_t distance = (int16_t)(10 * alpha - 255 * level);
    return distance >= LEAST_DISTANCE ? distance : 0;
}

/* The sum over the unknown pixels of |phi_p - phi_g| in units of 1/2550.
 *
 * pred, target, level: uint8 [pixels]; unknown: 0 or 1, uint8 [pixels]; level as denseup_connectivity_levels gives it.
 */
void denseup_connectivity_error(const uint8_t *pred, const uint8_t *target, const uint8_t *unknown,
                                const uint8_t *level, long pixels, int64_t *total) {
    int64_t sum = 0;
    for (long start = 0; start < pixels; start += 4096) {
        long end = start + 4096 < pixels ? start + 4096 : pixels;
        int32_t part = 0;
        for (long i = start; i < end; i++) {
            int16_t difference = (int16_t)(far_distance(pred[i], level[i]) - far_distance(target[i], level[i]));
            int16_t magnitude = (int16_t)(difference < 0 ? -difference : difference);
            part += (int16_t)(magnitude & -(int16_t)unknown[i]);
        }
        sum += part;
    }
    *total = sum;
}
