/* The instruction set is chosen when the program runs: the best of those the kernels are compiled for (each_isa.h). */
#include "common/instructions.h"

static const char *const names[] = {
    "portable",
#if defined(__x86_64__) && !defined(DENSEUP_PORTABLE)
    "avx2",
    "avx512",
#endif
};

enum { COUNT = sizeof names / sizeof *names };

static int forced = -1;

static int usable(int index) {
#if defined(__x86_64__) && !defined(DENSEUP_PORTABLE)
    if (index == 2)
        return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
               __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq");
    if (index == 1) return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
#endif
    return index == 0;
}

int denseup_instruction_set(void) {
    int index = COUNT - 1;
    if (forced >= 0) return forced;
    while (!usable(index)) index--;
    return index;
}

/* Name of the instruction set in use. */
const char *denseup_instructions(void) { return names[denseup_instruction_set()]; }

/* Use the instruction set of this name, "" for the best; 0 if this machine has it, else -1. For tests. */
int denseup_force_instructions(const char *name) {
    if (!*name) {
        forced = -1;
        return 0;
    }
    for (int k = 0; k < COUNT; k++)
        if (!__builtin_strcmp(name, names[k]) && usable(k)) {
            forced = k;
            return 0;
        }
    return -1;
}
