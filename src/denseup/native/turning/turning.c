/* Maps from one layout to the other, NCHW to channels-last or back, on the CPU for float32: every image is a matrix, of
 * channels and pixels, that is turned. Whole cache lines are read and written, so that nothing waits for what shares
 * a place in the caches with it, as rows do that lie powers of two apart.
 */
#include "turning/turning.h"

#include "common/instructions.h"
#include "common/pages.h"
#include "common/parallel.h"

#include <stdint.h>

#define BODY "turning/turning_body.h"
#include "common/each_isa.h"

static const denseup_task tables[] = {
    turn_portable,
#if X86
    turn_avx2,
    turn_avx512,
#endif
};

#define LARGE_BYTES (4L << 20) /* which caches will not hold until it is read */

/* from [images, rows, columns] → to [images, columns, rows]. */
void denseup_turn(const geometry *s, const float *from, float *to) {
    arguments a = {.shape = *s, .by_row = s->rows > s->columns, .from = from, .to = to};
    long bytes = s->images * s->rows * s->columns * (long)sizeof(float);
    int aligned = (uintptr_t)to % 64 == 0 && s->rows % BLOCK == 0;
    a.past_caches = aligned && bytes >= LARGE_BYTES;
    long length = a.by_row ? s->rows : s->columns;
    a.parts = length < 2 * PER_ITEM ? 1 : length / PER_ITEM; /* the last has what is left */
    denseup_ask_for_huge_pages(to, bytes);
    denseup_parallel(s->images * a.parts, s->threads, tables[denseup_instruction_set()], &a);
}
