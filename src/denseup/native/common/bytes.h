/* Eight bytes at a time. */
#ifndef DENSEUP_BYTES_H
#define DENSEUP_BYTES_H

#include <stdint.h>

static const uint64_t EACH_BYTE = 0x0101010101010101u;

#endif
