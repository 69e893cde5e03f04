/* A mode of a thread in which numbers too small to be normal (below 1.2e-38 in float32) count as zero. Convolutions run in
 * it: weights of a kernel that are all but zero, as a narrow Gaussian has them far from its centre, are such numbers or make
 * gradients that are, and x86 processors take some hundred cycles for an operation with one. A training went at a fifth of
 * its speed. */
#ifndef DENSEUP_TINY_H
#define DENSEUP_TINY_H

#if defined(__x86_64__) && (defined(__GNUC__) || defined(__clang__))
#define TINY_OPERANDS 0x0040 /* of the control register: such operands are zero, */
#define TINY_RESULTS 0x8000  /* and such results */

/* The mode of this thread before. */
static inline unsigned tiny_as_zero(void) {
    unsigned mode = __builtin_ia32_stmxcsr();
    __builtin_ia32_ldmxcsr(mode | TINY_OPERANDS | TINY_RESULTS);
    return mode;
}

static inline void back_to(unsigned mode) { __builtin_ia32_ldmxcsr(mode); }
#else
static inline unsigned tiny_as_zero(void) { return 0; }

static inline void back_to(unsigned mode) { (void)mode; }
#endif

#endif
