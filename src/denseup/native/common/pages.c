/* A large result lies in memory that comes fresh from the system, page by page, each zeroed at the first write to it: with
 * pages of 4 kB that takes several times as long as the writing itself, with pages of 2 MB much less. Only whole huge pages
 * within the result are asked for, so that no more memory is taken than it needs. The system may decline.
 */
#define _DEFAULT_SOURCE
#include "common/pages.h"

#include <stdint.h>

#ifdef __linux__
#include <sys/mman.h>
#endif

#define HUGE_PAGE ((uintptr_t)2 << 20)

/* glibc never keeps a block of this size or more for the next call. Smaller ones mostly have their pages already: measured
 * at 16 MB, asking made nothing faster. */
#define FRESH_BYTES (32L << 20)

void denseup_ask_for_huge_pages(void *at, long bytes) {
#ifdef MADV_HUGEPAGE
    if (bytes < FRESH_BYTES) return;
    uintptr_t first = ((uintptr_t)at + HUGE_PAGE - 1) / HUGE_PAGE * HUGE_PAGE;
    uintptr_t last = ((uintptr_t)at + (uintptr_t)bytes) / HUGE_PAGE * HUGE_PAGE;
    madvise((void *)first, last - first, MADV_HUGEPAGE);
#else
    (void)at, (void)bytes;
#endif
}
